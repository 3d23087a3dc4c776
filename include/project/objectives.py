"""What a scientist chooses: what is promised to whom, and who is told when it is not kept."""

from typing import Literal, Self

from pydantic import Field, model_validator

from include.contracts import Contract, Objective, Severity
from include.project.deployment import FreezeWindow

ExhaustedAction = Literal["freeze", "roll_back", "retrain", "nothing"]
# What can help: training makes no answer faster, and no release makes data younger.
_HELPS: dict[ExhaustedAction, set[Objective]] = {
    "freeze": {"availability", "latency", "accuracy", "freshness"},
    "roll_back": {"availability", "latency", "accuracy"},
    "retrain": {"accuracy"},
    "nothing": {"availability", "latency", "accuracy", "freshness"},
}


class ObjectivesPolicy(Contract):
    """Shares of good events that are promised, over a window of days; 0: not promised, nor measured."""

    days: float = Field(default=28, ge=7, le=90, description="Length of the window that all promises are about.")
    availability: float = Field(default=0.99, ge=0, lt=1, description="Share of requests that a model answers.")
    latency: float = Field(default=0.95, ge=0, lt=1, description="Share of answers within `max_latency_ms`.")
    max_latency_ms: float = Field(default=500, gt=0, description="From a request's arrival to its answer.")
    accuracy: float = Field(default=0, ge=0, lt=1, description="Share of right answers among those with a label.")
    freshness: float = Field(
        default=0, ge=0, lt=1, description="Share of time with data not older than `max_age_hours`."
    )
    max_age_hours: float = Field(default=36, gt=0, description="Age of the newest dataset version.")
    when_exhausted: dict[Objective, ExhaustedAction] = Field(
        default={}, description="What happens once an error budget is used up, by objective; else nothing."
    )

    @property
    def targets(self) -> dict[Objective, float]:
        """The promises that were made, by objective."""
        promised: dict[Objective, float] = {
            "availability": self.availability,
            "latency": self.latency,
            "accuracy": self.accuracy,
            "freshness": self.freshness,
        }
        return {objective: target for objective, target in promised.items() if target}

    @model_validator(mode="after")
    def _acts_on_promises(self) -> Self:
        if unknown := sorted(set(self.when_exhausted) - set(self.targets)):
            raise ValueError(f"when_exhausted names {', '.join(unknown)}, of which nothing is promised")
        if odd := [f"{action} {one}" for one, action in self.when_exhausted.items() if one not in _HELPS[action]]:
            raise ValueError(f"when_exhausted asks to {', '.join(odd)}, which does not help")
        return self


class SilenceWindow(FreezeWindow):
    """Hours, in UTC, in which what is less severe waits to be told."""

    spare: Severity = Field(default="critical", description="From this severity on, it is told all the same.")


class NotifyPolicy(Contract):
    """Who is told of an incident, and when not. Addresses are secrets and stand elsewhere."""

    tags: tuple[str, ...] = Field(default=(), description="Channels with one of these tags, besides those without.")
    least: Severity = Field(default="minor", description="What is less severe is not told.")
    quiet_minutes: float = Field(default=30, ge=0, description="The same trouble is told again only after this.")
    silences: tuple[SilenceWindow, ...] = ()


class EscalationPolicy(Contract):
    """Who is told next as long as nobody takes an incident on; one that is `info` is never handed on."""

    path: tuple[str, ...] = Field(default=(), description="Owners, one after the other; without any, nobody.")
    critical_minutes: float = Field(default=15, gt=0, description="From one to the next.")
    major_minutes: float = Field(default=60, gt=0, description="From one to the next.")
    minor_minutes: float = Field(default=480, gt=0, description="From one to the next.")

    @property
    def minutes(self) -> dict[Severity, float]:
        """How long each waits for an answer, by severity."""
        return {"critical": self.critical_minutes, "major": self.major_minutes, "minor": self.minor_minutes}
