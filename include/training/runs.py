"""What every MLflow run of a training has: its end, and the measures of its epochs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from mlflow.entities import Metric

from include.errors import WindhoverError
from include.tracking import Tracking
from include.training.epochs import Epoch


@contextmanager
def finishing(tracking: Tracking, run_id: str) -> Iterator[None]:
    """Close a run after the block: FINISHED if it ends, FAILED if it raises."""
    try:
        yield
    except BaseException:
        # The error that ended the training is worth more than one about closing the run.
        with suppress(WindhoverError), tracking.connect() as client:
            client.set_terminated(run_id, "FAILED")
        raise
    with tracking.connect() as client:
        client.set_terminated(run_id, "FINISHED")


def log_epoch(tracking: Tracking, run_id: str, epoch: Epoch) -> None:
    """Log one epoch as metrics, its number as their step."""
    now = int(time.time() * 1000)
    values = {name: value for name, value in asdict(epoch).items() if name != "number"}
    with tracking.connect() as client:
        client.log_batch(run_id, [Metric(name, value, now, epoch.number) for name, value in values.items()])
