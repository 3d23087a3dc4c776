"""Choose what to train on, and with which settings."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from include.contracts import DatasetRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.datasets import find_latest_dataset
from include.ledger.models import find_latest_candidate
from include.project import Project, TrainingConfig, explain
from include.storage import Store
from include.vision.images import select_as_of


def select_dataset(
    project: Project, ledger: Ledger, store: Store, *, required: bool, as_of: datetime | None = None
) -> DatasetRef | None:
    """Return the newest dataset version, or None when training on it could teach nothing new.

    :param required: Return it in any case: a person or a drift episode asks for a training.
    :param as_of: Only what was observed and known by then; without a zone it is UTC.
    :raises ArtifactNotFoundError: nothing was published yet.
    """
    dataset = find_latest_dataset(ledger, project.name)
    if dataset is None:
        raise ArtifactNotFoundError(
            f"{project.name} has no published dataset yet; run or backfill {project.name}.ingest_images first"
        )
    if as_of is not None:
        return select_as_of(dataset, as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC), store)
    newest = find_latest_candidate(ledger, project.name)
    # An imported model has learned nothing from the dataset.
    learned = newest.dataset.labelled if newest and not newest.imported else None
    if not required and learned is not None:
        new = abs(dataset.labelled - learned)
        if new < project.monitoring.retraining.min_new_images:
            return None
    return dataset


def override_training(project: Project, overrides: Mapping[str, Any]) -> Project:
    """Return the project with the values of a run's form in its training section; empty ones keep the file's."""
    chosen = {name: value for name, value in overrides.items() if value is not None}
    try:
        training = TrainingConfig.model_validate(project.training.model_dump() | chosen)
    except ValidationError as error:
        raise ContractViolationError(f"the run's form: {explain(error, TrainingConfig)}") from error
    return project.model_copy(update={"training": training})
