"""Search the settings of a project's training, as the tasks of `train_model` do side by side."""

from datetime import UTC, datetime, timedelta
from typing import Any

from include.cli.workplace import Workplace


def search_settings(workplace: Workplace) -> dict[str, Any]:
    """Try settings on the newest dataset version and cross-validate the best, as far as the project asks for either."""
    from include.training.choice import choose_settings
    from include.training.folds import cross_validate, log_folds, open_validation
    from include.training.trials import run_trials

    project, tuning = workplace.begin(), workplace.project.tuning
    dataset, tracking, ledger = workplace.find_dataset(), workplace.tracking, workplace.ledger
    places = workplace.store, ledger, tracking
    report: dict[str, Any] = {}
    if tuning.budget:
        deadline = datetime.now(UTC) + timedelta(minutes=tuning.minutes)
        report["search"] = run_trials(project, dataset, *places, deadline).model_dump(mode="json")
    if not tuning.measured_folds:
        return report
    chosen = choose_settings(project, dataset, ledger, tracking)
    folds = [cross_validate(chosen, dataset, *places, fold) for fold in range(tuning.measured_folds)]
    _, run = open_validation(chosen, dataset, ledger, tracking)
    means = log_folds(folds, tracking, run.run_id)
    return report | {"folds": [fold.model_dump(mode="json") for fold in folds]} | means
