"""What a scientist chooses: what counts as drift, and what is done about it."""

from pydantic import Field

from include.contracts import Action, Contract, Fraction, TrainingMode
from include.project.objectives import EscalationPolicy, NotifyPolicy, ObjectivesPolicy


class RetrainingPolicy(Contract):
    """When monitoring asks for a training, and how often at most."""

    per_30_days: int = Field(default=8, ge=1, description="Most trainings that monitoring asks for in 30 days.")
    cool_down_minutes: int = Field(default=60, ge=0, description="From the end of a training to the next it asks for.")
    every_days: int = Field(default=0, ge=0, description="Train again after so many days without; 0: no schedule.")
    min_new_images: int = Field(default=1, ge=1, description="New labelled images that are worth a training.")
    mode: TrainingMode = Field(default="full", description="How to train where the decision says nothing else.")
    recovered_windows: int = Field(default=3, ge=1, description="Stable windows in a row that end an episode.")


class PerformancePolicy(Contract):
    """When answers in service count as worse than those that were certified."""

    max_drop: Fraction = Field(default=0.05, description="Accuracy lost against the certificate without an alarm.")
    max_gap: Fraction = Field(
        default=0.10, description="Growth, without an alarm, of the gap in accuracy between a slice and the rest."
    )
    min_labels: int = Field(default=30, ge=1, description="Fewer labels than this prove neither decline nor health.")
    label_days: int = Field(default=30, ge=1, description="Labels that come later than this change no number.")


class ActionPolicy(Contract):
    """What follows from each cause of drift; people may choose otherwise, with a reason."""

    camera_fault: Action = Field(default="fix_source", description="Blur, noise, dead pixels, exposure.")
    lighting: Action = Field(default="retrain", description="Light, haze, colours.")
    geometry: Action = Field(default="fix_source", description="Images turned, mirrored, shifted or zoomed.")
    class_prior: Action = Field(default="recalibrate", description="Classes are as frequent as never before.")
    new_class: Action = Field(default="relabel", description="Images that look like no class.")
    label_noise: Action = Field(default="relabel", description="Labels that contradict each other.")
    concept_change: Action = Field(default="retrain", description="The same images are called something else.")
    unknown: Action = Field(default="retrain", description="Nothing above explains what is seen.")
    relabel_images: int = Field(default=20, ge=1, le=200, description="Images that people are asked to label.")
    relabel_hours: float = Field(default=24, gt=0, description="How long they are waited for.")


class MonitoringPolicy(Contract):
    """What counts as drift."""

    window_minutes: int = Field(default=60, ge=1, description="Length of the window of a check started by hand.")
    window_predictions: int | None = Field(
        default=None, ge=10, description="A window stays open until it holds as many; none: it ends with its time."
    )
    min_predictions: int = Field(default=60, ge=10, description="Fewer predictions than this prove nothing.")
    false_alarms_per_quarter: float = Field(default=1.0, gt=0, description="Drift episodes without drift, at most.")
    wait_minutes: int = Field(default=50, ge=1, description="How long the drift sensor waits for enough evidence.")
    performance: PerformancePolicy = PerformancePolicy()
    actions: ActionPolicy = ActionPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    objectives: ObjectivesPolicy = ObjectivesPolicy()
    notify: NotifyPolicy = NotifyPolicy()
    escalation: EscalationPolicy = EscalationPolicy()
