"""Write a training into MLflow as it happens."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mlflow import MlflowException
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from include.contracts import DatasetRef, Digest
from include.errors import WindhoverError
from include.project import Project
from include.tracking import CURVES, KEY_TAG, MODEL_FOLDER, Tracking
from include.training.optimise import Epoch
from include.training.provenance import digest_code, digest_configuration

logger = logging.getLogger(__name__)

# Columns of MLflow's database: longer values are refused.
DATASET_DIGEST_LENGTH = 36
PARAM_LENGTH = 6000


class Logbook:
    """One open MLflow run."""

    def __init__(self, tracking: Tracking, run_id: str) -> None:
        self.run_id = run_id
        self._tracking = tracking
        self._epochs: list[Epoch] = []

    def add_epoch(self, epoch: Epoch) -> None:
        """Log one epoch, to the task's log and as metrics."""
        self._epochs.append(epoch)
        logger.info(
            "epoch %d: train loss %.4f, validation loss %.4f, validation accuracy %.4f (%.1f s)",
            *(epoch.number, epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy, epoch.seconds),
        )
        now = int(time.time() * 1000)
        values = {name: value for name, value in asdict(epoch).items() if name != "number"}
        with self._tracking.connect() as client:
            client.log_batch(self.run_id, [Metric(name, value, now, epoch.number) for name, value in values.items()])

    def add_model(self, folder: Path, best: Epoch, weights: Digest) -> None:
        """Upload the saved model and its learning curves, and say which epoch it is."""
        with self._tracking.connect() as client:
            client.log_figure(self.run_id, draw_curves(self._epochs, best), CURVES)
            client.log_artifacts(self.run_id, str(folder), MODEL_FOLDER)
            client.log_metric(self.run_id, "best_epoch", best.number)
            client.log_metric(self.run_id, "best_validation_accuracy", best.validation_accuracy)
            client.set_tag(self.run_id, "windhover.weights", weights)


@contextmanager
def open_logbook(
    tracking: Tracking, project: Project, dataset: DatasetRef, key: Digest, run_name: str
) -> Iterator[Logbook]:
    """Open a run for one training: FINISHED if the block ends, FAILED if it raises.

    Runs of the same key that a killed attempt left RUNNING are closed as KILLED first.
    """
    experiment = tracking.find_experiment(project.name)
    _close_abandoned(tracking, experiment, key)
    with tracking.connect() as client:
        run_id = client.create_run(experiment, run_name=run_name, tags=_tags(dataset, key)).info.run_id
    logger.info("run %s: %s", run_name, tracking.run_url(run_id))
    try:
        _describe(tracking, run_id, project, dataset)
        yield Logbook(tracking, run_id)
    except BaseException:
        # The error that ended the training is worth more than one about closing the run.
        with suppress(WindhoverError), tracking.connect() as client:
            client.set_terminated(run_id, "FAILED")
        raise
    with tracking.connect() as client:
        client.set_terminated(run_id, "FINISHED")


def draw_curves(epochs: Sequence[Epoch], best: Epoch) -> Figure:
    """Draw loss and accuracy over the epochs, the kept epoch marked."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in epochs]
    losses.plot(numbers, [epoch.train_loss for epoch in epochs], label="train", color="#4c72b0")
    losses.plot(numbers, [epoch.validation_loss for epoch in epochs], label="validation", color="#dd8452")
    accuracies.plot(numbers, [epoch.validation_accuracy for epoch in epochs], label="validation", color="#dd8452")
    for axes, title in ((losses, "loss"), (accuracies, "accuracy")):
        axes.axvline(best.number, color="#999999", linestyle=":", label=f"kept: epoch {best.number}")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


def _close_abandoned(tracking: Tracking, experiment: str, key: Digest) -> None:
    with tracking.connect() as client:
        running = f"tags.`{KEY_TAG}` = '{key}' and attributes.status = 'RUNNING'"
        for run in client.search_runs([experiment], running):
            logger.warning("closing run %s, left RUNNING by an attempt that was killed", run.info.run_id)
            client.set_terminated(run.info.run_id, "KILLED")


def _tags(dataset: DatasetRef, key: Digest) -> dict[str, str]:
    return {
        KEY_TAG: key,
        "windhover.dataset": dataset.digest,
        "windhover.dataset_version": str(dataset.version),
        "windhover.code": digest_code(),
    }


def _describe(tracking: Tracking, run_id: str, project: Project, dataset: DatasetRef) -> None:
    values = {"classes": ", ".join(project.classes), "configuration": digest_configuration(project)}
    values |= {name: str(value) for name, value in project.training.model_dump().items()}
    params = [Param(name, value[:PARAM_LENGTH]) for name, value in values.items()]
    digest = dataset.digest.removeprefix("sha256:")[:DATASET_DIGEST_LENGTH]
    source = f"{dataset.address}@{dataset.version}"
    used = Dataset(name=dataset.project, digest=digest, source_type="lance", source=source)
    inputs = [DatasetInput(used, [InputTag("mlflow.data.context", "training")])]
    with tracking.connect() as client:
        client.log_batch(run_id, params=params)
        try:
            client.log_inputs(run_id, inputs)
        except MlflowException as error:
            # MLflow looks a dataset up, then inserts it: of two that log it first at once, one trips.
            if "UniqueViolation" not in str(error):
                raise
            client.log_inputs(run_id, inputs)
