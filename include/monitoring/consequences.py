"""What follows from a missed objective: an incident, and what the project file asks for once its budget is used up."""

import logging

from include.contracts import Level, Objective, ObjectiveReport, PerformanceReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.episodes import close_missed_episode, open_episode
from include.ledger.freezes import freeze_rollouts, lift_freeze, list_freezes
from include.ledger.incidents import find_unresolved, open_incident, resolve_key
from include.ledger.objectives import forget_objectives, list_objectives, record_objective
from include.ledger.plans import find_plan, list_plans
from include.ledger.rollouts import switch_release
from include.project import Project

WATCHER = "watcher"
RUNBOOK = "docs/runbook.md#error-budget"
BAD = ("burning", "exhausted")
IMPACTS: dict[Objective, Level] = {
    "availability": "high",
    "latency": "medium",
    "accuracy": "high",
    "freshness": "medium",
}

logger = logging.getLogger(__name__)


def settle_objective(
    project: Project, report: ObjectiveReport, ledger: Ledger, *, urgent: bool, newest: PerformanceReport | None
) -> None:
    """Open, count up or resolve the incident of an objective, act once per exhausted budget, and keep the report.

    The report is kept last: a watcher that is killed before that does all of it again, which changes nothing.

    :param urgent: Whether somebody should be woken.
    :param newest: Newest window with labels, for which to train.
    """
    before = {one.objective: one.verdict for one in list_objectives(ledger, project.name)}.get(report.objective, "met")
    key = f"slo/{report.objective}"
    known = find_unresolved(ledger, project.name, key)
    grows = urgent and known is not None and known.urgency != "high"
    if report.verdict in BAD and (report.verdict != before or grows):
        number = _open(project, report, ledger, key, "high" if urgent else "medium")
        if report.verdict == "exhausted" and report.verdict != before:
            _act(
                project, report, ledger, f"the error budget of {report.objective} is used up, incident {number}", newest
            )
    elif report.verdict not in BAD and before in BAD:
        _end(project.name, report.objective, ledger, report.summary)
    record_objective(ledger, report)


def drop_unpromised(project: Project, ledger: Ledger) -> None:
    """End what followed from objectives that are promised no longer, and forget them."""
    promised = set(project.monitoring.objectives.targets)
    for one in list_objectives(ledger, project.name):
        if one.objective not in promised:
            _end(project.name, one.objective, ledger, "it is promised no longer")
    forget_objectives(ledger, project.name, promised)


def _open(project: Project, report: ObjectiveReport, ledger: Ledger, key: str, urgency: Level) -> int:
    title = "is used up" if report.verdict == "exhausted" else "burns too fast"
    return open_incident(
        ledger,
        project.name,
        kind="slo_burn",
        key=key,
        title=f"the error budget of {report.objective} {title}",
        impact=IMPACTS[report.objective],
        urgency=urgency,
        runbook=RUNBOOK,
        owner=project.owner,
        evidence=report.model_dump(mode="json"),
        who=WATCHER,
    )


def _act(project: Project, report: ObjectiveReport, ledger: Ledger, why: str, newest: PerformanceReport | None) -> None:
    action = project.monitoring.objectives.when_exhausted.get(report.objective, "nothing")
    if action == "freeze":
        freeze_rollouts(ledger, project.name, cause=f"slo/{report.objective}", reason=why, who=WATCHER)
    elif action == "roll_back":
        _roll_back(project.name, ledger, why)
    elif action == "retrain" and newest:
        # An episode that nobody has answered: the next run of monitor_model diagnoses it and asks for the training.
        open_episode(ledger, newest, missed=True)


def _roll_back(project: str, ledger: Ledger, why: str) -> None:
    """Let the release answer that answered before; a second time for the same reason, nothing happens."""
    plan = find_plan(ledger, project)
    if plan is None or plan.previous is None or any(one.why == why for one in list_plans(ledger, project)):
        return
    try:
        switch_release(ledger, project, plan.previous, who=WATCHER, why=why)
    except ContractViolationError as error:
        logger.warning("%s is not rolled back: %s", project, error)


def _end(project: str, objective: Objective, ledger: Ledger, why: str) -> None:
    key = f"slo/{objective}"
    resolve_key(ledger, project, key, who=WATCHER, why=why)
    _thaw(project, key, ledger, why)
    if objective == "accuracy":
        close_missed_episode(ledger, project, why)


def _thaw(project: str, cause: str, ledger: Ledger, why: str) -> None:
    if any(one.cause == cause for one in list_freezes(ledger, project)):
        try:
            lift_freeze(ledger, project, cause=cause, who=WATCHER, why=why)
        except ArtifactNotFoundError:
            logger.info("%s: somebody else lifted the freeze %s", project, cause)
