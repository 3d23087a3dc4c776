"""What live traffic tells."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, Fraction

DriftLayer = Literal["image", "embedding", "prediction"]


class FeatureProfileReport(Contract):
    """How one number is distributed over a window."""

    feature: str
    mean: float
    deviation: float
    low: float = Field(description="5th percentile.")
    median: float
    high: float = Field(description="95th percentile.")


class SliceProfileReport(Contract):
    """One part of a window."""

    slice: str = Field(description="Name of the slice, such as `predicted`.")
    value: str
    predictions: Count
    confidence: Fraction | None = Field(description="Mean; none where nothing was answered.")
    abstained: Fraction
    failed: Count = Field(default=0, description="Requests that the model whose turn it was could not answer.")
    latency_ms: dict[str, float] = Field(default={}, description="Percentiles, by name: p50, p95, p99.")
    mix: dict[str, Fraction] = Field(default={}, description="Share of each predicted class.")
    means: dict[str, float] = Field(default={}, description="Mean of each number that a window has, by name.")


class ProfileReport(Contract):
    """The logged predictions of one window, as statistics."""

    project: str
    start: datetime
    end: datetime
    release: Digest | None = Field(description="Release that answered the window; none without predictions.")
    predictions: Count
    address: str | None = Field(description="Parquet table, one row a prediction; none without enough of them.")
    per_minute: float = Field(default=0.0, ge=0, description="Requests answered a minute.")
    failed: Count = Field(default=0, description="Requests that the model whose turn it was could not answer.")
    abstained: Count = Field(default=0, description="Requests that nobody answered.")
    latency_ms: dict[str, float] = Field(default={}, description="Percentiles, by name: p50, p95, p99.")
    mix: dict[str, Fraction] = Field(default={}, description="Share of each predicted class.")
    formats: dict[str, Fraction] = Field(default={}, description="Share of each image format.")
    features: tuple[FeatureProfileReport, ...] = ()
    slices: tuple[SliceProfileReport, ...] = ()
    changes: tuple[str, ...] = Field(default=(), description="What differs from the window before, for people.")


class FeatureDriftReport(Contract):
    """One feature of the window held against the reference."""

    feature: str
    method: str
    p_value: Fraction = Field(description="Of this window alone.")
    threshold: Fraction = Field(description="Drift at or below it, after what earlier windows have shown.")
    drifted: bool
    layer: DriftLayer = "image"
    evidence: float = Field(default=0.0, ge=0, description="Of the sequential rule, over all windows so far.")
    residue: float = Field(default=0.0, ge=0, description="What is left of its last alarm; below 1, it passed.")


class DriftReport(Contract):
    """Whether a window differs from the reference its release was certified on."""

    project: str
    start: datetime
    end: datetime
    release: Digest | None
    verdict: Literal["drift", "stable", "insufficient"]
    predictions: Count
    features: tuple[FeatureDriftReport, ...] = ()
    evidence: float = Field(default=0.0, ge=0, description="Of the sequential rule, over all windows so far.")
    limit: float = Field(default=0.0, ge=0, description="Drift once the evidence reaches it; 0: no rule was asked.")
    summary: str = Field(description="One line for people.")
    report: str | None = Field(default=None, description="Address of the HTML report.")


class SlicePerformanceReport(Contract):
    """Accuracy in one part of the labelled predictions, with a 95 % Wilson interval."""

    slice: str
    value: str
    labelled: Count
    accuracy: Fraction
    low: Fraction
    high: Fraction


class PerformanceReport(Contract):
    """Accuracy of a window's predictions whose labels have come, with a 95 % Wilson interval."""

    project: str
    start: datetime
    end: datetime
    predictions: Count
    labelled: Count
    accuracy: Fraction | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    certified: Fraction | None = Field(default=None, description="Accuracy the release was certified with.")
    estimate: Fraction | None = Field(default=None, description="Accuracy as the probabilities alone tell it.")
    estimate_low: Fraction | None = None
    estimate_high: Fraction | None = None
    verdict: Literal["degraded", "stable", "insufficient"] = "insufficient"
    concept: bool = Field(default=False, description="Labels moved where images and embeddings did not.")
    evidence: float = Field(default=0.0, ge=0, description="Of the sequential test against the certified accuracy.")
    limit: float = Field(default=0.0, ge=0, description="Degraded once the evidence reaches it; 0: not tested.")
    slices: tuple[SlicePerformanceReport, ...] = ()
    unfair: tuple[str, ...] = Field(default=(), description="Slices whose gap has grown, for people.")
    summary: str = ""


class ExplanationDriftReport(Contract):
    """Whether answers rest on other parts of the images than those of the certified images did."""

    project: str
    start: datetime
    end: datetime
    release: Digest | None
    verdict: Literal["drift", "stable", "insufficient"]
    images: Count = Field(description="Kept images of the time, explained.")
    certified: Count = Field(default=0, description="Certified images that they are held against.")
    p_value: Fraction | None = None
    moved: Fraction | None = Field(default=None, description="Share of what answers rest on that lies elsewhere.")
    sheet: str | None = Field(default=None, description="Address of a picture of both mean maps, certified left.")
    summary: str
