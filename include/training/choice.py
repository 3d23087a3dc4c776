"""The settings that a candidate is trained with: those of the project file, or the best of a search."""

import logging

from include.contracts import DatasetRef
from include.ledger import Ledger
from include.project import Project
from include.project.learning import change_settings
from include.tracking import Tracking

logger = logging.getLogger(__name__)


def choose_settings(project: Project, dataset: DatasetRef, ledger: Ledger, tracking: Tracking) -> Project:
    """Return the project with the settings its study found best; unchanged where nothing is tuned.

    :raises ContractViolationError: no trial was completed.
    """
    if project.tuning.method == "off":
        return project
    # Optuna takes long to import, for a training that needs none.
    from include.training.nested_runs import close_study_run
    from include.training.trials import open_search
    from include.training.tuning import require_settings

    study, parent = open_search(project, dataset, ledger, tracking)
    report = study.report()
    settings = require_settings(report)
    logger.info("of %d trials, %s is best: validation accuracy %.4f", report.completed, settings, report.accuracy)
    close_study_run(tracking, parent, settings, {"best_validation_accuracy": report.accuracy or 0.0})
    return project.model_copy(update={"training": change_settings(project.training, settings)})
