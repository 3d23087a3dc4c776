"""Run trials of a study: train with the settings it proposes until its budget of trials or minutes is used up."""

import logging
from datetime import UTC, datetime

import optuna

from include.contracts import DatasetRef, StudyReport
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.datasets import record_read
from include.project import Project
from include.project.learning import change_settings
from include.storage import Store
from include.tracking import Tracking
from include.training.locks import one_at_a_time
from include.training.nested_runs import NestedRun, open_part, open_study_run
from include.training.optimise import Epoch, fit_classifier
from include.training.samples import Samples, read_samples
from include.training.tuning import SLOT, Study

logger = logging.getLogger(__name__)


def run_trials(
    project: Project, dataset: DatasetRef, store: Store, ledger: Ledger, tracking: Tracking, deadline: datetime
) -> StudyReport:
    """Try settings until none is left to try; several processes may do so at once, and again after one died.

    :param deadline: Aware time after which no trial begins.
    :raises DataQualityError: the dataset cannot be learned from.
    :raises ServiceUnavailableError: MLflow or the ledger does not answer.
    :raises StaleAttemptError: another process took a trial over that this one was still at.
    """
    study, parent = open_search(project, dataset, ledger, tracking)
    record_read(ledger, dataset, "train", study.name)
    samples = read_samples(project, dataset, store)
    while datetime.now(UTC) < deadline:
        with study.claim_trial() as trial:
            if trial is None:
                break
            part = f"trial {trial.user_attrs[SLOT]}"
            logger.info("%s: %s", part, trial.params)
            with open_part(tracking, parent, study.name, part, trial.params) as run:
                _run_trial(project, samples, study, trial, run)
    return study.report()


def open_search(project: Project, dataset: DatasetRef, ledger: Ledger, tracking: Tracking) -> tuple[Study, NestedRun]:
    """Open the study of a project on a dataset version, and the MLflow run above those of its trials."""
    study = Study(project, dataset, ledger)
    with one_at_a_time(ledger, f"{study.name}/run"):
        return study, open_study_run(tracking, project.name, study.name, "tuning")


def _run_trial(
    project: Project, samples: tuple[Samples, Samples], study: Study, trial: optuna.Trial, run: NestedRun
) -> None:
    """Train once. What ends the process, or a service that is down, leaves the trial to whoever asks next."""

    def report(epoch: Epoch) -> None:
        run.add_epoch(epoch)
        trial.report(epoch.validation_accuracy, epoch.number)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        training = project.tuning.shorten(change_settings(project.training, trial.params))
        _, best = fit_classifier(training, len(project.classes), *samples, report)
    except optuna.TrialPruned:
        logger.info("trial %d fell behind; ended", trial.number)
        study.prune(trial)
    except (ContractViolationError, ValueError) as error:
        logger.warning("trial %d trains no model: %s", trial.number, error)
        study.fail(trial, str(error))
    else:
        study.complete(trial, best.validation_accuracy, best.validation_loss)
