"""What follows when a task fails for good, or a run is late: an incident. Light: every DAG file loads it."""

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from include.errors import Handling, RolloutFailedError, ServiceUnavailableError, StaleAttemptError, find_handling
from windhover.hooks.ledger import LedgerHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import IncidentKind, Level

MOST_LETTERS = 300
# Told elsewhere: the judge opens the incident of its rollout.
JUDGE = "judge_rollout"
# Impact and urgency, by what was done about the error before the task gave up.
LEVELS: "dict[Handling, tuple[Level, Level]]" = {
    "retry": ("medium", "high"),
    "resume": ("medium", "medium"),
    "shrink_batch": ("medium", "medium"),
    "quarantine": ("medium", "medium"),
    "fall_back": ("low", "medium"),
    "escalate": ("medium", "high"),
}

logger = logging.getLogger(__name__)


def report_failure(context: "Context") -> None:
    """Open the incident of a task that failed for good, or count it up.

    A task that fails in several runs is one incident, which names them. What goes wrong here is logged.
    """
    error = context.get("exception")
    judged = isinstance(error, RolloutFailedError) and context["task"].task_id == JUDGE
    # A newer attempt goes on for one that was overtaken.
    if not judged and not isinstance(error, StaleAttemptError):
        with _saying_so_without_ledger():
            _open_incident(context, error)


def report_recovery(context: "Context") -> None:
    """Resolve the incident of a task once the only run it failed in has been tried again with success."""
    if context["task_instance"].try_number > 1:
        with _saying_so_without_ledger():
            _settle_incident(context)


@contextmanager
def _saying_so_without_ledger() -> Iterator[None]:
    """Leave it at one line: the last error in a task's log is to be its own."""
    try:
        yield
    except ServiceUnavailableError as error:
        logger.warning("nothing was done about the incident of this task: %s", error)


def _open_incident(context: "Context", error: BaseException | str | None) -> None:
    from include.ledger.incidents import find_unresolved, open_incident

    project, key, run = _locate(context)
    ledger, evidence = LedgerHook().open_ledger(), _describe(context, error)
    before = find_unresolved(ledger, project, key)
    impact, urgency = LEVELS[evidence["handling"]]
    runs = {_name_place(context), *(before.evidence.get("runs", []) if before else [])}
    open_incident(
        ledger,
        project,
        kind="failed_gate" if evidence["handling"] in {"quarantine", "fall_back"} else "failed_task",
        key=key,
        title=f"{key.removeprefix('task/')} failed: {evidence['said']}",
        impact=impact,
        urgency=urgency,
        runbook=f"docs/runbook.md#{_stem(context)}",
        owner=context["task"].owner,
        evidence={**evidence, "runs": sorted(runs)},
        who=f"{context['dag_run'].dag_id}/{run}",
    )


def _name_place(context: "Context") -> str:
    """Name the run, and of a mapped task which one: that another one recovered says nothing of it."""
    run, index = context["dag_run"].run_id, context["task_instance"].map_index
    return run if index is None or index < 0 else f"{run}[{index}]"


def _settle_incident(context: "Context") -> None:
    from include.ledger.incidents import add_note, find_unresolved, resolve_key

    project, key, run = _locate(context)
    ledger = LedgerHook().open_ledger()
    found = find_unresolved(ledger, project, key)
    runs = found.evidence.get("runs", []) if found else []
    if found is None or _name_place(context) not in runs:
        return
    who, attempt = f"{context['dag_run'].dag_id}/{run}", context["task_instance"].try_number
    if runs == [_name_place(context)]:
        resolve_key(ledger, project, key, who=who, why=f"attempt {attempt} of the run succeeded")
    else:
        add_note(ledger, found.id, who=who, what=f"attempt {attempt} of this run succeeded; others have failed, too")


class WindhoverNotifier(BaseNotifier):
    """Open an incident about a run, of which the watcher tells people: a callback, or a deadline's, of any DAG.

    :param what: What is the matter with the run, such as `is late`.
    :param project: Whose incident it is; empty: what stands before the dot in the DAG's name. Where that is no name for
        a project, the incident is the platform's.
    :param owner: Whose it is at first: the channels tagged with that name are told.
    """

    def __init__(
        self,
        *,
        what: str,
        kind: "IncidentKind" = "manual",
        impact: "Level" = "medium",
        urgency: "Level" = "medium",
        runbook: str = "docs/runbook.md#any-task",
        project: str = "",
        owner: str = "",
        context: "Context | None" = None,
    ) -> None:
        super().__init__(context)
        self.what = what
        self.kind = kind
        self.impact = impact
        self.urgency = urgency
        self.runbook = runbook
        self.project = project
        self.owner = owner

    def notify(self, context: "Context") -> None:
        """Open it, or count it up."""
        from include.ledger.incidents import open_incident

        dag_id, run_id, state, run_type = _read_run(context)
        # A deadline outlives a run that failed, and a backfill may take as long as it likes.
        if self.kind == "late_run" and (state in {"success", "failed"} or run_type == "backfill"):
            return
        project, stem = _split_name(dag_id, self.project)
        open_incident(
            LedgerHook().open_ledger(),
            project,
            kind=self.kind,
            key=f"{self.kind}/{stem}",
            title=f"{stem} {self.what}",
            impact=self.impact,
            urgency=self.urgency,
            runbook=self.runbook,
            owner=self.owner,
            evidence={"run": run_id, "summary": f"run {run_id} {self.what}"},
            who=f"{dag_id}/{run_id}",
        )

    async def async_notify(self, context: "Context") -> None:
        """Open it from the triggerer, where deadlines are missed."""
        await asyncio.to_thread(self.notify, context)


def _read_run(context: "Context") -> tuple[str, str, str, str]:
    """Return DAG, run, its state and its kind; a deadline tells of the run as JSON."""
    run: Any = context["dag_run"]
    if isinstance(run, Mapping):
        return run["dag_id"], run["dag_run_id"], run["state"], run["run_type"]
    return run.dag_id, run.run_id, str(getattr(run, "state", "")), str(run.run_type)


def _locate(context: "Context") -> tuple[str, str, str]:
    """Return the project, the incident's key and the run."""
    run: Any = context["dag_run"]
    project, stem = _split_name(run.dag_id)
    return project, f"task/{stem}/{context['task'].task_id}", run.run_id


def _split_name(dag_id: str, project: str = "") -> tuple[str, str]:
    """Return the project of a DAG and its name therein: the whole one, where the project's is not the first part.

    An alarm must not be lost for a name that no project may have: then it is the platform's.
    """
    from include.ledger.changes import PLATFORM
    from include.project import PROJECT_NAME

    first, dot, rest = dag_id.partition(".")
    project = project or (first if dot else PLATFORM)
    if not re.fullmatch(PROJECT_NAME, project):
        project = PLATFORM
    return project, rest if dot and first == project else dag_id


def _describe(context: "Context", error: BaseException | str | None) -> dict[str, Any]:
    """Say what went wrong; without an error, Airflow found the task's process gone."""
    raised = error if isinstance(error, BaseException) else None
    task = context["task_instance"]
    return {
        "error": type(raised).__name__ if raised else "killed",
        "said": _clean(str(error or "its process was killed")),
        "handling": find_handling(raised) if raised else "resume",
        "attempt": task.try_number,
        "map_index": task.map_index,
    }


def _stem(context: "Context") -> str:
    return str(context["dag_run"].dag_id).rpartition(".")[2]


def _clean(text: str) -> str:
    """Keep what PostgreSQL can: file names in a message may hold anything."""
    return " ".join(text.encode(errors="replace").decode().replace("\0", "").split())[:MOST_LETTERS]
