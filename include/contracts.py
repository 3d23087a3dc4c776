"""The values stages hand to each other: references, reports and decisions, never data.

`-Ref` points, `-Report` measures, `-Decision` rules. Every `address` is a path below the store URI, so that a
reference means the same on every machine that sees the store.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
PartitionKey = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="One UTC day, `YYYY-MM-DD`.")]


class Contract(BaseModel):
    """Immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- data ---------------------------------------------------------------------------------------------------------


class BatchRef(Contract):
    """One complete delivery in the drop folder: the images of one partition."""

    project: str
    partition: PartitionKey
    folder: str = Field(description="Folder of the delivery, below the landing URI.")
    images: Count


class ShardRef(Contract):
    """Every `count`-th image of a batch, starting at `index` in file-name order."""

    batch: BatchRef
    index: Count
    count: int = Field(ge=1)


class ShardReport(Contract):
    """What one shard wrote: accepted rows and quarantined rows, staged under one address."""

    shard: ShardRef
    address: str
    digest: Digest
    seen: Count
    accepted: Count
    duplicates: Count
    quarantined: Count


class ExpectationReport(Contract):
    """One data expectation and the rows that broke it."""

    expectation: str
    column: str | None = None
    success: bool
    unexpected: Count = 0
    rows: tuple[str, ...] = Field(default=(), description="Source files of at most 20 offending rows.")


class ValidationReport(Contract):
    """One staged partition, counted and held against its expectations. seen = accepted + duplicates + quarantined."""

    project: str
    partition: PartitionKey
    address: str = Field(description="Staged rows ready to publish.")
    digest: Digest = Field(description="Content of the partition: images, labels, groups and splits.")
    seen: Count
    accepted: Count
    duplicates: Count
    quarantined: Count
    reasons: dict[str, int] = Field(default={}, description="Quarantined rows by reason.")
    expectations: tuple[ExpectationReport, ...] = ()
    success: bool
    data_docs: str = Field(description="Address of the Data Docs page.")


class DatasetRef(Contract):
    """One immutable version of a project's image dataset."""

    project: str
    address: str
    version: int = Field(ge=1)
    digest: Digest
    images: Count
    labelled: Count


# --- models -------------------------------------------------------------------------------------------------------


class ModelRef(Contract):
    """One trained candidate: weights in MLflow, keyed by everything that made them."""

    project: str
    key: Digest = Field(description="Digest of (project, dataset, code, configuration, seed).")
    run_id: str
    weights: Digest
    dataset: DatasetRef


class EvaluationReport(Contract):
    """Metrics of one model on the sealed test split of one dataset version."""

    model: ModelRef
    test_digest: Digest
    images: Count
    accuracy: Fraction
    macro_f1: Fraction
    worst_class_recall: Fraction
    recall_by_class: dict[str, Fraction]
    accuracy_by_partition: dict[str, Fraction]


class PromotionDecision(Contract):
    """Whether the candidate may replace the champion, and why."""

    verdict: Literal["promote", "reject"]
    candidate: EvaluationReport
    champion: EvaluationReport | None = None
    reasons: tuple[str, ...]


class ModelVersionRef(Contract):
    """One certified version in the model registry."""

    model: ModelRef
    version: int = Field(ge=1)
    accuracy: Fraction


# --- releases -----------------------------------------------------------------------------------------------------


class ReleaseRef(Contract):
    """One servable bundle: ONNX graph, golden images and reference profile, named by its content."""

    model: ModelVersionRef
    address: str
    digest: Digest
    parity: float = Field(ge=0, description="Largest absolute difference in probability against the trained model.")


class RolloutRef(Contract):
    """One attempt to put a release into service."""

    id: int
    release: ReleaseRef
    previous: Digest | None = Field(default=None, description="Release that served before, to return to.")


class RolloutReport(Contract):
    """What the serving process says of a rollout."""

    rollout: RolloutRef
    verdict: Literal["healthy", "unhealthy"]
    reasons: tuple[str, ...]


# --- monitoring ---------------------------------------------------------------------------------------------------


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
