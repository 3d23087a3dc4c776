"""What live traffic tells."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, Fraction


class ProfileReport(Contract):
    """The logged predictions of one window, as statistics."""

    project: str
    start: datetime
    end: datetime
    release: Digest | None = Field(description="Release that answered the window; none without predictions.")
    predictions: Count
    address: str | None = Field(description="Parquet table, one row a prediction; none without predictions.")


class FeatureDriftReport(Contract):
    """One feature of the window held against the reference."""

    feature: str
    method: str
    p_value: Fraction
    threshold: Fraction
    drifted: bool


class DriftReport(Contract):
    """Whether a window differs from the reference its release was certified on."""

    project: str
    start: datetime
    end: datetime
    release: Digest | None
    verdict: Literal["drift", "stable", "insufficient"]
    predictions: Count
    features: tuple[FeatureDriftReport, ...] = ()
    summary: str = Field(description="One line for people.")
    report: str | None = Field(default=None, description="Address of the HTML report.")


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


class RetrainingRequest(Contract):
    """Why a model should be trained again. One per drift episode."""

    project: str
    episode: int
    reason: str
    drift: DriftReport
