"""What every MLflow run of a training has: its beginning and end, and the measures of its epochs."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict

from mlflow.entities import Metric

from include.errors import WindhoverError
from include.tracking import KEY_TAG, Tracking
from include.training.epochs import Epoch

logger = logging.getLogger(__name__)


def open_run(tracking: Tracking, project: str, tags: Mapping[str, str], run_name: str) -> str:
    """Open the newest unfinished run of a key again, or a new one; return its id. Only that one stays open.

    :param tags: Of the run; the one that names the key is among them.
    """
    experiment = tracking.find_experiment(project)
    unfinished = f"tags.`{KEY_TAG}` = '{tags[KEY_TAG]}' and attributes.status != 'FINISHED'"
    with tracking.connect() as client:
        runs = client.search_runs([experiment], unfinished, order_by=["attributes.start_time DESC"])
        if not runs:
            return str(client.create_run(experiment, run_name=run_name, tags=dict(tags)).info.run_id)
        newest, *others = [str(run.info.run_id) for run in runs]
        for run_id in others:
            client.set_terminated(run_id, "KILLED")
        client.update_run(newest, status="RUNNING")
        for name, value in tags.items():
            client.set_tag(newest, name, value)
    logger.info("an earlier attempt left run %s unfinished; it is gone on with", newest)
    return newest


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
