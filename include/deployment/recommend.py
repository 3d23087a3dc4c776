"""Recommend how a release goes into service, by what a wrong answer costs, by traffic, and by how soon labels come."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts import ReleaseRef, Strategy, StrategyDecision
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.plans import find_plan
from include.predictions import read_feedback, read_predictions
from include.project import Project
from include.storage import Store

WINDOW = timedelta(hours=3)
# Fewer labels show a difference in accuracy only where it is so large that the comparison shows it, too.
AB_LABELS = 400


@dataclass(frozen=True)
class ServiceFacts:
    """What is known of a project's traffic.

    :ivar serving: Whether another release answers now.
    :ivar requests_per_hour: Requests answered lately.
    :ivar labels_per_hour: Of them, those whose label came soon enough for a rollout's deadline.
    """

    serving: bool
    requests_per_hour: float = 0.0
    labels_per_hour: float = 0.0


@dataclass(frozen=True)
class _Outlook:
    """What a rollout that begins now can expect to see before its deadline."""

    project: Project
    serving: bool
    requests: float
    labels: float

    @property
    def canary_requests(self) -> float:
        """Requests that arrive until every step of a canary has had its own."""
        policy = self.project.deployment
        return sum(policy.step_requests / share for share in policy.canary_steps)


Rule = tuple[Strategy, Callable[[_Outlook], bool], str]
RULES: tuple[Rule, ...] = (
    ("direct", lambda known: not known.serving, "no other release is in service: there is nothing to compare it with"),
    (
        "shadow",
        lambda known: known.project.deployment.risk == "high",
        "a wrong answer costs much: nobody sees the release's answers before enough of them were compared",
    ),
    (
        "ab_test",
        lambda known: known.project.deployment.risk == "low" and known.labels >= AB_LABELS,
        "a wrong answer costs little, and {labels:.0f} labels are expected before the deadline: enough to test which "
        "model is right more often",
    ),
    (
        "canary",
        lambda known: known.requests >= known.canary_requests,
        "{requests:.0f} requests are expected before the deadline, and the canary's steps need {needed:.0f}",
    ),
    (
        "blue_green",
        lambda known: True,
        "{requests:.0f} requests are expected before the deadline, too few for a canary's steps, which need "
        "{needed:.0f}: all traffic switches at once, and back at once",
    ),
)


def read_facts(project: Project, release: ReleaseRef, ledger: Ledger, store: Store) -> ServiceFacts:
    """Read from the ledger and from the last hours of the prediction log what a recommendation rests on."""
    plan = find_plan(ledger, project.name)
    if plan is None or plan.champion.digest == release.digest:
        return ServiceFacts(serving=False)
    now = datetime.now(UTC)
    since = now - WINDOW
    # Clocks of serving processes may be ahead.
    answered = read_predictions(store, project.name, since, now + WINDOW).select(["request_id", "time"])
    labelled = read_feedback(store, project.name, since).select(["request_id", "time"])
    both = labelled.join(answered.rename_columns(["request_id", "answered"]), "request_id", join_type="inner")
    delays = pc.subtract(both["time"], both["answered"])
    deadline = timedelta(minutes=project.deployment.judge.deadline_minutes)
    in_time = pc.sum(pc.less_equal(delays, pa.scalar(deadline, pa.duration("us")))).as_py() or 0
    hours = WINDOW / timedelta(hours=1)
    return ServiceFacts(serving=True, requests_per_hour=answered.num_rows / hours, labels_per_hour=in_time / hours)


def recommend_strategy(project: Project, facts: ServiceFacts, asked: str = "") -> StrategyDecision:
    """Decide on a strategy: the one that was asked for, else the project file's, else the recommended one.

    :param asked: A strategy; `recommended` or nothing leaves it to the project file.
    :raises ContractViolationError: it is no strategy.
    """
    if asked not in {"", "recommended", *get_args(Strategy)}:
        raise ContractViolationError(f"{asked!r} is no strategy; choose of {', '.join(get_args(Strategy))}")
    hours = project.deployment.judge.deadline_minutes / 60
    known = _Outlook(project, facts.serving, facts.requests_per_hour * hours, facts.labels_per_hour * hours)
    recommended, _, text = next(rule for rule in RULES if rule[1](known))
    why = text.format(requests=known.requests, labels=known.labels, needed=known.canary_requests)
    reasons = [f"{recommended} is recommended: {why}"]
    choices = (
        (asked, "whoever started this run asks for {}"),
        (project.deployment.strategy, "the project file asks for {}"),
    )
    for choice, said in choices:
        if choice in get_args(Strategy):
            reasons = [said.format(choice), *reasons]
            return StrategyDecision(strategy=choice, recommended=recommended, reasons=tuple(reasons))
    return StrategyDecision(strategy=recommended, recommended=recommended, reasons=tuple(reasons))
