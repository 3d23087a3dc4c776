"""Servable bundles, who answers with them, and their rollouts."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from include.contracts.contract import Contract, Count, Digest, Fraction
from include.contracts.models import ModelVersionRef

Strategy = Literal["direct", "blue_green", "canary", "shadow", "ab_test"]
Variant = Literal["champion", "candidate", "previous", "baseline", "abstain"]
Verdict = Literal["promote", "roll_back", "continue", "not_enough_evidence"]


class ReleaseRef(Contract):
    """One servable bundle: ONNX graph, golden images and reference profile, named by its content."""

    model: ModelVersionRef
    address: str
    digest: Digest
    parity: float = Field(ge=0, description="Largest absolute difference in probability against the trained model.")


class RecordingPolicy(Contract):
    """What of a request is kept besides its answer, and who answers when a model cannot."""

    image_share: Fraction = Field(default=0.0, description="Share of the images that are kept, to be looked at later.")
    embeddings: bool = Field(default=True, description="Keep what the network sees in an image, in a few numbers.")
    baseline: bool = Field(
        default=True, description="Answer with the classes' shares when no model can; off: abstain instead."
    )
    max_ood: float | None = Field(
        default=None, gt=0, description="Abstain from images that are odder than this; 1: odder than 99 in 100."
    )


class ReleasePlan(Contract):
    """Who answers a project's requests; every serving process follows the newest revision that it could verify."""

    project: str
    revision: int = Field(ge=1)
    champion: ReleaseRef
    previous: ReleaseRef | None = Field(default=None, description="Answers where the champion fails.")
    candidate: ReleaseRef | None = Field(default=None, description="Held in memory, proven on its golden images.")
    rollout: int | None = Field(default=None, description="The rollout that made this revision.")
    weight: Fraction = Field(default=0.0, description="Share of requests, or of keys, that the candidate answers.")
    shadow: Fraction = Field(
        default=0.0,
        description="Share of requests on which both models are compared off the request's path: champion and "
        "candidate, or without a candidate champion and previous.",
    )
    sticky: bool = Field(default=False, description="Whether one key is always answered by the same release.")
    recording: RecordingPolicy = RecordingPolicy()

    @model_validator(mode="after")
    def _somebody_takes_the_traffic(self) -> Self:
        if self.candidate is None and self.weight:
            raise ValueError(f"weight {self.weight:g} goes to a candidate, and there is none")
        return self

    @property
    def releases(self) -> tuple[ReleaseRef, ...]:
        """Every release that a serving process holds in memory, the champion first."""
        held = (self.champion, self.candidate, self.previous)
        return tuple({release.digest: release for release in held if release}.values())


class ReplicaReport(Contract):
    """What one serving process does; it says so in the ledger once a second."""

    name: str
    address: str = Field(description="URL or Unix socket at which it answers.")
    started_at: datetime
    revisions: dict[str, int] = Field(description="Revision of the plan that it follows, by project.")
    held: dict[str, tuple[Digest, ...]] = Field(description="Releases that answer their golden images, by project.")
    rejected: dict[str, dict[Digest, str]] = Field(description="Releases it could not load, and why, by project.")
    source: Literal["ledger", "cache"]


class StrategyDecision(Contract):
    """How a release goes into service, and why so."""

    strategy: Strategy
    recommended: Strategy
    reasons: tuple[str, ...]


class RolloutRef(Contract):
    """One attempt to put a release into service."""

    id: int
    release: ReleaseRef
    previous: Digest | None = Field(default=None, description="Release that served before, to return to.")
    strategy: Strategy = "direct"


class MetricReport(Contract):
    """What the evidence says of one metric, at this moment."""

    metric: Literal["readiness", "errors", "latency", "agreement", "accuracy", "sample_ratio"]
    verdict: Literal["harm", "safe", "better", "undecided", "not_measured"]
    evidence: float = Field(description="E-value against the candidate; harm once it reaches `limit`.")
    limit: float = Field(description="One over the share of alpha that this metric has.")
    seen: str = Field(description="The counts behind it, for people.")


class RolloutReport(Contract):
    """What is known of a rollout, and what follows from it."""

    rollout: RolloutRef
    verdict: Verdict
    step: Count = 0
    weight: Fraction = 0.0
    requests: Count = Field(default=0, description="Answered, or to be answered, by the candidate.")
    metrics: tuple[MetricReport, ...] = ()
    reasons: tuple[str, ...]
