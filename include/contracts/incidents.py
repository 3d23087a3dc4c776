"""Objectives, what burns their budgets, and the incidents people are woken for."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Fraction

Level = Literal["high", "medium", "low"]
Severity = Literal["critical", "major", "minor", "info"]
IncidentKind = Literal[
    "failed_gate", "rollback", "drift", "unfair", "slo_burn", "dead_service", "resource", "late_run",
    "failed_task", "manual",
]  # fmt: skip
Objective = Literal["availability", "latency", "accuracy", "freshness"]


class IncidentEventReport(Contract):
    """One line of an incident's timeline."""

    at: datetime
    who: str
    what: str
    kind: Literal["opened", "seen_again", "acknowledged", "escalated", "note", "change", "action", "resolved"]


class CorrectiveActionReport(Contract):
    """Something that is to be done so that an incident does not come again."""

    id: int
    incident: int
    what: str
    owner: str
    due: datetime | None
    done_at: datetime | None


class IncidentReport(Contract):
    """Something that somebody has to know of, from its opening to the lesson it left."""

    id: int
    project: str
    kind: IncidentKind
    key: str = Field(description="Names the trouble; while it is not resolved, the same key is the same incident.")
    title: str
    severity: Severity
    impact: Level
    urgency: Level
    state: Literal["open", "acknowledged", "resolved"]
    owner: str
    runbook: str = Field(description="Page of the documentation, with its anchor.")
    opened_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    escalation: Count = Field(default=0, description="Steps of the escalation path taken so far.")
    seen: int = Field(default=1, ge=1, description="How often the trouble was reported.")
    evidence: dict[str, Any] = Field(default={}, description="What was seen, as JSON values.")
    lesson: str = ""
    timeline: tuple[IncidentEventReport, ...] = ()
    actions: tuple[CorrectiveActionReport, ...] = ()


class ObjectiveReport(Contract):
    """One objective of a project, and how much of its error budget is left."""

    project: str
    objective: Objective
    at: datetime
    target: Fraction = Field(description="Share of good events that is promised.")
    days: float = Field(gt=0, description="Length of the window that the promise is about.")
    good: Count
    events: Count
    left: float = Field(description="Share of the error budget that is left; negative: overdrawn.")
    burn: dict[str, float] = Field(default={}, description="Speed of burning, by the length of the look back: 1h, 6h.")
    verdict: Literal["met", "burning", "exhausted", "not_measured"]
    summary: str


class HostReport(Contract):
    """What the machine of the stack is busy with."""

    at: datetime
    cpu: Fraction
    memory: Fraction
    disk: Fraction = Field(description="Of the file system that holds the home folder.")
    sent: float = Field(ge=0, description="Network, bytes a second.")
    received: float = Field(ge=0, description="Network, bytes a second.")
