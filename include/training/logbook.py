"""Write a training into MLflow as it happens."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mlflow import MlflowException
from mlflow.entities import Dataset, DatasetInput, InputTag, Param
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from include.contracts import DatasetRef, Digest
from include.project import Project
from include.tracking import CURVES, KEY_TAG, MODEL_FOLDER, TRAINER_TAG, Tracking
from include.training.epochs import Epoch
from include.training.provenance import describe_environment, digest_code, digest_configuration
from include.training.runs import finishing, log_epoch, open_run

logger = logging.getLogger(__name__)

# Columns of MLflow's database: longer values are refused.
DATASET_DIGEST_LENGTH = 36
PARAM_LENGTH = 6000


class Logbook:
    """One open MLflow run.

    :param logged: Number of the last epoch whose metrics the run has.
    """

    def __init__(self, tracking: Tracking, run_id: str, logged: int = 0) -> None:
        self.run_id = run_id
        self._tracking = tracking
        self._logged = logged
        self._epochs: list[Epoch] = []

    def add_epoch(self, epoch: Epoch) -> None:
        """Log one epoch, to the task's log and, unless an earlier attempt did, as metrics."""
        self._epochs.append(epoch)
        logger.info(
            "epoch %d: train loss %.4f, validation loss %.4f, validation accuracy %.4f (%.1f s)",
            *(epoch.number, epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy, epoch.seconds),
        )
        if epoch.number > self._logged:
            log_epoch(self._tracking, self.run_id, epoch)

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
    tracking: Tracking, project: Project, dataset: DatasetRef, key: Digest, run_name: str, trained_by: str | None = None
) -> Iterator[Logbook]:
    """Open the run of one training: FINISHED if the block ends, FAILED if it raises.

    A run of the same key that an earlier attempt left unfinished is gone on with; others are closed as KILLED.
    """
    tags = _tags(project, dataset, key) | ({TRAINER_TAG: trained_by} if trained_by else {})
    run_id = open_run(tracking, project.name, tags, run_name)
    logger.info("run %s: %s", run_name, tracking.run_url(run_id))
    with finishing(tracking, run_id):
        _describe(tracking, run_id, project, dataset)
        with _watching_system(tracking, run_id):
            yield Logbook(tracking, run_id, _count_logged(tracking, run_id))


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


def _count_logged(tracking: Tracking, run_id: str) -> int:
    with tracking.connect() as client:
        return max((metric.step for metric in client.get_metric_history(run_id, "train_loss")), default=0)


@contextmanager
def _watching_system(tracking: Tracking, run_id: str) -> Iterator[None]:
    """Log how busy this machine is, every ten seconds, as MLflow does."""
    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking.uri)  # type: ignore[no-untyped-call]
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]


def _tags(project: Project, dataset: DatasetRef, key: Digest) -> dict[str, str]:
    return describe_environment(project) | {
        KEY_TAG: key,
        "windhover.dataset": dataset.digest,
        "windhover.dataset_version": str(dataset.version),
        "windhover.code": digest_code(),
    }


def _describe(tracking: Tracking, run_id: str, project: Project, dataset: DatasetRef) -> None:
    settings = project.training.model_dump()
    settings |= {f"augmentation.{name}": value for name, value in settings.pop("augmentation").items()}
    values = {"classes": ", ".join(project.classes), "configuration": digest_configuration(project)}
    values |= {name: str(value) for name, value in settings.items()}
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
