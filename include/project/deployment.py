"""What a scientist chooses: how releases go into service, and what ends a rollout."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from include.contracts import Contract, Fraction, RecordingPolicy, Strategy

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class FreezeWindow(Contract):
    """Hours, in UTC, in which no rollout begins; going back is always allowed."""

    days: tuple[Weekday, ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), min_length=1, description="Days on which it begins."
    )
    start: time
    end: time = Field(description="Earlier than `start`: on the next day. The same: the whole day.")
    reason: str = Field(min_length=1)

    def find_end(self, at: datetime) -> datetime | None:
        """Return when the window ends that is open at a moment with time zone, or none if it is not open."""
        now = at.astimezone(UTC)
        return next((end for start, end in self._spans(now) if start <= now < end), None)

    def _spans(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield when a window that may reach into this moment began, and when it ends."""
        length_days = 1 if self.end <= self.start else 0
        for day in (now.date(), now.date() - timedelta(days=1)):
            if get_args(Weekday)[day.weekday()] in self.days:
                start = datetime.combine(day, self.start, UTC)
                yield start, datetime.combine(day + timedelta(days=length_days), self.end, UTC)


class JudgePolicy(Contract):
    """What the judge of a rollout tests, and how sure it has to be."""

    alpha: float = Field(
        default=0.005, gt=0, lt=0.5, description="Chance that a rollout of an equal model is ever taken back."
    )
    beta: float = Field(default=0.05, gt=0, lt=0.5, description="Chance that a gate lets a model pass that exceeds it.")
    max_error_rate: Fraction = Field(
        default=0.05, gt=0, description="Errors of a model per request, shown to be fewer."
    )
    max_slowdown: float = Field(
        default=1.10, ge=1, description="Median latency over the other model's, one image each."
    )
    max_disagreement: Fraction | None = Field(
        default=None,
        description="Share of answers that may differ from the champion's; none: the sealed test's, and 0.05.",
    )
    deadline_minutes: float = Field(
        default=60, gt=0, description="A rollout without enough evidence by then goes back."
    )


class DeploymentPolicy(Contract):
    """How a release goes into service."""

    max_parity_difference: float = Field(default=1e-4, gt=0, description="Largest difference in probability.")
    golden_images: int = Field(default=16, ge=1, description="Images a release must answer right before traffic.")
    ready_seconds: int = Field(default=60, ge=1, description="Time a release has to come up healthy.")
    strategy: Strategy | Literal["recommended"] = Field(
        default="recommended", description="How releases go into service; recommended: by risk, traffic, label delay."
    )
    risk: Literal["low", "medium", "high"] = Field(default="medium", description="What a wrong answer costs.")
    canary_steps: tuple[Fraction, ...] = Field(
        default=(0.05, 0.25, 0.50, 1.0), min_length=1, description="Shares of traffic of a canary, one after the other."
    )
    step_requests: int = Field(default=50, ge=1, description="Requests the candidate answers before the next step.")
    comparisons: int = Field(default=100, ge=1, description="Answers compared before a rollout may be completed.")
    shadow: Fraction = Field(default=1.0, gt=0, description="Share of requests on which both models are compared.")
    ab_share: Fraction = Field(
        default=0.5, gt=0, lt=1, description="Share of keys that an A/B test gives the candidate."
    )
    judge: JudgePolicy = JudgePolicy()
    freeze: tuple[FreezeWindow, ...] = ()
    recording: RecordingPolicy = RecordingPolicy()

    @model_validator(mode="after")
    def _steps_grow(self) -> Self:
        if sorted(set(self.canary_steps)) != list(self.canary_steps) or 0 in self.canary_steps:
            raise ValueError(f"canary_steps {list(self.canary_steps)} must grow from step to step, above 0")
        return self
