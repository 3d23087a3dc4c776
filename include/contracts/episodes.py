"""What is done about drift: its cause, the answer, and the training that is asked for."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Fraction
from include.contracts.monitoring import DriftReport, PerformanceReport

Cause = Literal[
    "camera_fault", "lighting", "geometry", "class_prior", "new_class", "label_noise", "concept_change", "unknown"
]
Action = Literal["fix_source", "recalibrate", "relabel", "retrain", "ignore"]
TrainingMode = Literal["full", "warm_start", "sliding_window", "replay"]
RetrainingTrigger = Literal["drift", "degradation", "objective", "schedule", "new_data", "demand"]
# What people say of an image that shows no class of the project; never a label.
NONE_OF_THESE = "(none of these)"


class DiagnosisReport(Contract):
    """Why a window differs."""

    project: str
    episode: int
    cause: Cause
    name: str = Field(description="The cause in a few words, such as `camera: blurred lens`.")
    scores: dict[Cause, Fraction] = Field(description="How well each cause explains what is seen; they sum to 1.")
    evidence: tuple[str, ...] = Field(description="What speaks for it, for people, the strongest first.")
    examples: tuple[str, ...] = Field(default=(), description="Requests that show it, most typical first.")
    accuracy: Fraction | None = Field(default=None, description="Expected of the model while it lasts.")
    attainable: Fraction | None = Field(default=None, description="Expected of a model that answers it.")
    priors: dict[str, Fraction] = Field(default={}, description="Estimated shares of the classes, where they moved.")


class ActionDecision(Contract):
    """What follows from a diagnosis."""

    project: str
    episode: int
    cause: Cause
    action: Action
    mode: TrainingMode = Field(default="full", description="How to train, where the action is to.")
    relabel: Count = Field(default=0, description="Images to be labelled by people, where the action is to.")
    predicted_gain: float | None = Field(default=None, description="Expected change of accuracy, as a fraction.")
    reasons: tuple[str, ...]
    overridden_by: str | None = Field(default=None, description="Who chose otherwise than the policy.")


class RetrainingRequest(Contract):
    """Why a model should be trained again. One per drift episode, and one per other trigger's occasion."""

    project: str
    episode: int | None = Field(description="Drift episode that it answers; none for other triggers.")
    reason: str
    occasion: str = Field(default="", description="What it answers; each occasion is answered once.")
    trigger: RetrainingTrigger = "drift"
    mode: TrainingMode = "full"
    drift: DriftReport | None = None


class EpisodeReport(Contract):
    """A time in which the world differs from what the model was certified on."""

    id: int
    project: str
    state: Literal["open", "requested", "closed"]
    trigger: Literal["drift", "degradation", "objective"]
    opened_at: datetime
    closed_at: datetime | None
    windows: int = Field(ge=1, description="Windows that confirmed it.")
    drift: DriftReport | None
    performance: PerformanceReport | None = None
    diagnosis: DiagnosisReport | None = None
    decision: ActionDecision | None = None
    outcome: str = Field(default="", description="How it ended, for people.")
