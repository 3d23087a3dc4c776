"""Search settings of `training`: a study in the ledger's database that many tasks, and their retries, work on.

A study has as many slots as its budget has trials. A slot is tried again when the process that tried it died, and
only then; so the number of tried settings never exceeds the budget, and a grid tries each combination once.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from include.contracts import DatasetRef, StudyReport
from include.errors import ContractViolationError, ServiceUnavailableError, StaleAttemptError
from include.ledger import Ledger
from include.project import Project
from include.storage import digest_bytes
from include.training.locks import is_free, one_at_a_time
from include.training.provenance import candidate_key
from include.training.search_space import list_combinations, make_pruner, make_sampler, make_space

SCHEMA = "optuna"
SLOT, REASON, LOSS = "slot", "reason", "validation_loss"
# Settings that take the process down with them each time, say by using up the memory, are given up.
MAX_ATTEMPTS = 3


def name_study(project: Project, dataset: DatasetRef) -> str:
    """Name a study by all that its trials depend on; its budget is not part of it, so that it can be raised."""
    tuning = project.tuning
    parts = {
        "base": candidate_key(project, dataset),
        "method": tuning.method,
        "search": {name: values.model_dump() for name, values in tuning.search.items()},
        "prune": tuning.prune,
        "profile": tuning.profile,
    }
    return f"{project.name}/{digest_bytes(json.dumps(parts).encode())}"


class Study:
    """The search for one project's settings on one dataset version.

    J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (2011), describes TPE; Optuna implements it.
    """

    def __init__(self, project: Project, dataset: DatasetRef, ledger: Ledger) -> None:
        self.name = name_study(project, dataset)
        self._project, self._tuning, self._ledger = project, project.tuning, ledger
        with _translated(), one_at_a_time(ledger, SCHEMA) as connection:
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        # Optuna creates its tables through connections of its own, which must see the schema.
        with _translated(), one_at_a_time(ledger, SCHEMA):
            self._study = optuna.create_study(
                storage=_open_storage(ledger),
                study_name=self.name,
                direction="maximize",
                pruner=make_pruner(project),
                load_if_exists=True,
            )

    @contextmanager
    def claim_trial(self) -> Iterator[optuna.Trial | None]:
        """Hold the next trial while the block runs; None when the budget is used up.

        :raises StaleAttemptError: it took so long to answer that another process was given the trial.
        """
        with ExitStack() as held:
            with _translated(), one_at_a_time(self._ledger, self.name) as connection:
                self._give_up_lost(connection)
                trial = self._ask()
                if trial is not None:
                    # Held until the block ends or the process dies: whoever finds it free knows that we are gone.
                    held.enter_context(one_at_a_time(self._ledger, self._presence(trial.number)))
            with _translated():
                yield trial

    def complete(self, trial: optuna.Trial, accuracy: float, loss: float) -> None:
        """Record what a trial reached."""
        trial.set_user_attr(LOSS, loss)
        self._tell(trial, TrialState.COMPLETE, accuracy)

    def prune(self, trial: optuna.Trial) -> None:
        """Record that a trial fell behind."""
        self._tell(trial, TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, reason: str) -> None:
        """Record that a trial's settings train no model."""
        trial.set_user_attr(REASON, reason)
        self._tell(trial, TrialState.FAIL)

    def report(self) -> StudyReport:
        """Say what was tried, and which settings are best: by accuracy, then loss, then the first of equals."""
        with _translated():
            trials = self._study.get_trials(deepcopy=False)
        completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        best = max(completed, key=lambda trial: (trial.value, -trial.user_attrs[LOSS], -trial.number), default=None)
        failed = [tries for tries in _by_slot(trials).values() if _trains_no_model(tries)]
        return StudyReport(
            study=self.name,
            completed=len(completed),
            pruned=sum(trial.state == TrialState.PRUNED for trial in trials),
            failed=len(failed),
            settings=best.params if best else {},
            accuracy=best.value if best else None,
        )

    def _ask(self) -> optuna.Trial | None:
        trials = self._study.get_trials(deepcopy=False)
        waiting = [trial.user_attrs[SLOT] for trial in trials if trial.state == TrialState.WAITING]
        slot = waiting[0] if waiting else self._find_slot(trials)
        if slot is None:
            return None
        if not waiting:
            fixed = list_combinations(self._tuning)[slot] if self._tuning.method == "grid" else {}
            self._study.enqueue_trial(fixed, user_attrs={SLOT: slot})
        # Seeded by slot, so that it matters neither which process tries it nor at which attempt.
        self._study.sampler = make_sampler(self._tuning, self._project.training.seed + slot)
        return self._study.ask(make_space(self._project))

    def _find_slot(self, trials: list[FrozenTrial]) -> int | None:
        attempts = _by_slot(trials)
        for slot, tries in sorted(attempts.items()):
            if all(_is_lost(trial) for trial in tries) and len(tries) < MAX_ATTEMPTS:
                return slot
        return len(attempts) if len(attempts) < self._tuning.budget else None

    def _give_up_lost(self, connection: sa.Connection) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_free(connection, self._presence(trial.number)):
                # Whoever held it may have finished it since it was listed, and only then have let go.
                with suppress(UpdateFinishedTrialError):
                    self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        try:
            self._study.tell(trial, value, state)
        except ValueError as error:
            raise StaleAttemptError(f"trial {trial.number} was given to another process meanwhile") from error

    def _presence(self, number: int) -> str:
        return f"{self.name}/{number}"


def _by_slot(trials: list[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    attempts = defaultdict(list)
    for trial in trials:
        attempts[trial.user_attrs[SLOT]].append(trial)
    return attempts


def _is_lost(trial: FrozenTrial) -> bool:
    """Tell whether a trial ended because its process did, not because of its settings."""
    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


def _trains_no_model(tries: list[FrozenTrial]) -> bool:
    lost = sum(_is_lost(trial) for trial in tries)
    return lost >= MAX_ATTEMPTS or any(REASON in trial.user_attrs for trial in tries)


def _open_storage(ledger: Ledger) -> optuna.storages.RDBStorage:
    arguments = {"connect_timeout": 10, "options": f"-csearch_path={SCHEMA}"}
    return optuna.storages.RDBStorage(
        ledger.url.render_as_string(hide_password=False),
        engine_kwargs={"poolclass": NullPool, "connect_args": arguments},
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Let Optuna's failures leave the block as errors of this library."""
    try:
        yield
    except UpdateFinishedTrialError as error:
        raise StaleAttemptError(f"this trial was given to another process meanwhile: {error}") from error
    except (StorageInternalError, sa.exc.OperationalError) as error:
        raise ServiceUnavailableError(f"the study's database does not answer: {error}; see `make status`") from error


def require_settings(report: StudyReport) -> dict[str, Any]:
    """Return the settings that a study chose.

    :raises ContractViolationError: no trial was completed.
    """
    if not report.settings and not report.pruned + report.failed:
        raise ContractViolationError(
            f"study {report.study} has tried nothing yet: run `tune` first, or set tuning.method to off"
        )
    if not report.settings:
        raise ContractViolationError(
            f"study {report.study} has no completed trial ({report.pruned} pruned, {report.failed} failed): widen "
            "tuning.search to settings that train, or raise tuning.minutes"
        )
    return report.settings
