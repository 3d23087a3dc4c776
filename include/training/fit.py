"""Train a candidate model on one version of a dataset."""

import logging
import tempfile
from pathlib import Path

from include.contracts import DatasetRef, Digest, ModelRef
from include.ledger import Ledger
from include.ledger.datasets import record_read
from include.ledger.erasures import list_marked_models
from include.ledger.models import find_candidate, record_candidate
from include.project import Project
from include.storage import Store
from include.tracking import ERASED_TAG, Tracking
from include.training.checkpoints import Checkpoints
from include.training.locks import one_at_a_time
from include.training.logbook import Logbook, open_logbook
from include.training.optimise import fit_classifier
from include.training.provenance import candidate_key
from include.training.samples import Samples, read_samples
from include.vision.weights import save_classifier

logger = logging.getLogger(__name__)


def train_candidate(
    project: Project,
    dataset: DatasetRef,
    store: Store,
    ledger: Ledger,
    tracking: Tracking,
    run_name: str,
    trained_by: str | None = None,
) -> ModelRef:
    """Train a model, or find the one already trained from the same data, code, configuration and seed.

    An attempt that was killed is gone on with after its last whole epoch, and ends in the same weights.

    :param run_name: Name of the MLflow run, for people.
    :param trained_by: Who started it by hand, and cannot approve the model.
    :raises DataQualityError: the dataset cannot be learned from; the message has the counts.
    :raises ServiceUnavailableError: MLflow or the ledger does not answer.
    """
    # Airflow may run the task twice, at once: the second waits, and finds what the first has trained.
    with one_at_a_time(ledger, f"{project.name}/training"):
        return _find_or_train(project, dataset, store, ledger, tracking, run_name, trained_by)


def _find_or_train(
    project: Project,
    dataset: DatasetRef,
    store: Store,
    ledger: Ledger,
    tracking: Tracking,
    run_name: str,
    trained_by: str | None,
) -> ModelRef:
    key = candidate_key(project, dataset)
    checkpoints = Checkpoints(store, project.name, key)
    model = find_candidate(ledger, key)
    if model and tracking.holds_model(model):
        logger.info("already trained: %s", tracking.run_url(model.run_id))
    else:
        record_read(ledger, dataset, "train", run_name)
        samples = read_samples(project, dataset, store)
        with open_logbook(tracking, project, dataset, key, run_name, trained_by) as logbook:
            weights = _train(project, samples, logbook, checkpoints)
        trained = ModelRef(project=project.name, key=key, run_id=logbook.run_id, weights=weights, dataset=dataset)
        model = record_candidate(ledger, trained, lost=model)
    _mark_if_erased(model, ledger, tracking)
    checkpoints.remove()
    return model


def _train(project: Project, samples: tuple[Samples, Samples], logbook: Logbook, checkpoints: Checkpoints) -> Digest:
    """Fit the model and leave it in its run; return the digest of its weights."""
    train, validation = samples
    logger.info("training on %d images, choosing weights on %d", len(train), len(validation))
    classifier, best = fit_classifier(
        project.training, len(project.classes), train, validation, logbook.add_epoch, checkpoints
    )
    with tempfile.TemporaryDirectory() as scratch:
        weights = save_classifier(classifier, project.training, project.classes, Path(scratch))
        logbook.add_model(Path(scratch), best, weights)
    return weights


def _mark_if_erased(model: ModelRef, ledger: Ledger, tracking: Tracking) -> None:
    """Mark it in MLflow, too, when images it learned from were forgotten while it was trained."""
    if model.key not in list_marked_models(ledger, model.project):
        return
    with tracking.connect() as client:
        # The reason that an erasure gave says more.
        if ERASED_TAG not in client.get_run(model.run_id).data.tags:
            client.set_tag(model.run_id, ERASED_TAG, "forgotten while it was trained")
