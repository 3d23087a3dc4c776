"""Train a registered version again from what was recorded of it, and say whether the same model comes out."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Run
from pydantic import ValidationError

from include.contracts import ModelRef, ReproductionReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.datasets import record_read
from include.ledger.models import find_model_version
from include.project import Project
from include.storage import Store
from include.tracking import MODEL_FOLDER, Tracking
from include.training.optimise import Epoch, fit_classifier
from include.training.provenance import describe_environment, digest_code
from include.training.samples import read_samples
from include.vision.weights import DESCRIPTION, ModelDescription, save_classifier


def reproduce_model(
    project: Project, version: int, store: Store, ledger: Ledger, tracking: Tracking
) -> ReproductionReport:
    """Repeat the training of a version on its own dataset with its own settings; nothing is recorded as a model.

    :raises ArtifactNotFoundError: the version, its run or its dataset version is gone; the message says which.
    :raises ContractViolationError: its settings cannot be read by this code any more.
    """
    found = find_model_version(ledger, project.name, version=version)
    if found is None:
        raise ArtifactNotFoundError(f"{project.name} has no version {version}; MLflow's page of the model lists them")
    model = found.model
    if model.imported:
        raise ContractViolationError(
            f"version {version} of {project.name} was imported; only those who trained it can train it again: their "
            f"names stand in {tracking.run_url(model.run_id)}"
        )
    with tracking.connect() as client:
        run = client.get_run(model.run_id)
    recorded = restore_project(project, model, run, tracking)
    record_read(ledger, model.dataset, "train", f"reproduce version {version}")
    repeated, metrics = _train_again(recorded, model, store)
    return ReproductionReport(
        version=version,
        identical=repeated == model.weights,
        differences=tuple(compare_inputs(run.data.tags, recorded)),
        recorded=model.weights,
        repeated=repeated,
        metrics={name: (run.data.metrics[name], value) for name, value in metrics.items() if name in run.data.metrics},
    )


def restore_project(project: Project, model: ModelRef, run: Run, tracking: Tracking) -> Project:
    """Return the project with the classes and settings that a model was trained with."""
    text = tracking.read_artifact(model.run_id, f"{MODEL_FOLDER}/{DESCRIPTION}")
    try:
        description = ModelDescription.model_validate_json(text)
    except ValidationError as error:
        raise ContractViolationError(
            f"run {model.run_id} was trained with settings that this code does not know: {error}; check out the "
            f"commit whose code is {run.data.tags.get('windhover.code')}"
        ) from error
    bits = run.data.tags.get("windhover.near_duplicate_bits", project.data.near_duplicate_bits)
    data = project.data.model_copy(update={"near_duplicate_bits": int(bits)})
    return project.model_copy(update={"classes": description.classes, "training": description.training, "data": data})


def compare_inputs(tags: Mapping[str, str], project: Project) -> list[str]:
    """List what differs between the recorded training and one now, with both values; unrecorded counts as such."""
    now = {"windhover.code": digest_code()} | describe_environment(project)
    return [
        f"{name.removeprefix('windhover.')}: {tags.get(name, 'not recorded')}, now {value}"
        for name, value in now.items()
        if tags.get(name) != value
    ]


def _train_again(project: Project, model: ModelRef, store: Store) -> tuple[str, dict[str, float]]:
    train, validation = read_samples(project, model.dataset, store)
    epochs: list[Epoch] = []
    classifier, best = fit_classifier(project.training, len(project.classes), train, validation, epochs.append)
    with tempfile.TemporaryDirectory() as scratch:
        weights = save_classifier(classifier, project.training, project.classes, Path(scratch))
    return weights, {
        "best_epoch": float(best.number),
        "best_validation_accuracy": best.validation_accuracy,
        "train_loss": epochs[-1].train_loss,
        "validation_loss": epochs[-1].validation_loss,
        "validation_accuracy": epochs[-1].validation_accuracy,
    }
