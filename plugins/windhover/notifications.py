"""What follows when a task fails for good: an incident that somebody owns. Light: every DAG file loads it."""

from typing import TYPE_CHECKING, Any

from include.errors import Handling, RolloutFailedError, StaleAttemptError, find_handling
from windhover.hooks.ledger import LedgerHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import Level

MOST_LETTERS = 300
# Told elsewhere: the judge opens the incident of its rollout, and a newer attempt goes on for one that was overtaken.
SETTLED = (RolloutFailedError, StaleAttemptError)
# Impact and urgency, by what was done about the error before the task gave up.
LEVELS: "dict[Handling, tuple[Level, Level]]" = {
    "retry": ("medium", "high"),
    "resume": ("medium", "medium"),
    "shrink_batch": ("medium", "medium"),
    "quarantine": ("medium", "medium"),
    "fall_back": ("low", "medium"),
    "escalate": ("medium", "high"),
}


def report_failure(context: "Context") -> None:
    """Open the incident of a task that failed for good, or count it up; Airflow logs what goes wrong here.

    A task that fails in several runs is one incident, which names them.
    """
    from include.ledger.incidents import find_unresolved, open_incident

    error = context.get("exception")
    if isinstance(error, SETTLED):
        return
    project, key, run = _locate(context)
    ledger, evidence = LedgerHook().open_ledger(), _describe(context, error)
    before = find_unresolved(ledger, project, key)
    impact, urgency = LEVELS[evidence["handling"]]
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
        evidence={**evidence, "runs": sorted({run, *(before.evidence.get("runs", []) if before else [])})},
        who=f"{context['dag_run'].dag_id}/{run}",
    )


def report_recovery(context: "Context") -> None:
    """Resolve the incident of a task once the only run it failed in has been tried again with success."""
    if context["task_instance"].try_number == 1:
        return
    from include.ledger.incidents import add_note, find_unresolved, resolve_key

    project, key, run = _locate(context)
    ledger = LedgerHook().open_ledger()
    found = find_unresolved(ledger, project, key)
    runs = found.evidence.get("runs", []) if found else []
    if found is None or run not in runs:
        return
    who, attempt = f"{context['dag_run'].dag_id}/{run}", context["task_instance"].try_number
    if runs == [run]:
        resolve_key(ledger, project, key, who=who, why=f"attempt {attempt} of the run succeeded")
    else:
        add_note(ledger, found.id, who=who, what=f"attempt {attempt} of this run succeeded; others have failed, too")


def _locate(context: "Context") -> tuple[str, str, str]:
    """Return the project, the incident's key and the run."""
    run: Any = context["dag_run"]
    return run.dag_id.partition(".")[0], f"task/{_stem(context)}/{context['task'].task_id}", run.run_id


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
