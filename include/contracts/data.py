"""Deliveries, dataset versions, and what is known of them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, PartitionKey


class BatchRef(Contract):
    """One complete delivery: the images of one partition."""

    project: str
    partition: PartitionKey
    uri: str = Field(description="Delivery as it arrived: a folder or prefix, an archive, a list, a data set.")
    collected: str | None = Field(
        default=None, description="Address in the store of the folder made of an archive, a list, a data set or videos."
    )
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
    listing: Digest | None = Field(default=None, description="Names in the delivery as this shard found it.")
    seen: Count
    accepted: Count
    duplicates: Count
    quarantined: Count


class ExpectationReport(Contract):
    """One data expectation, what was found, and the rows that broke it."""

    expectation: str
    column: str | None = None
    description: str = Field(default="", description="What it guards, in words.")
    requirement: str = Field(default="", description="What had to hold, with the values of this partition.")
    on_failure: Literal["stop", "quarantine", "warn"] = "stop"
    success: bool
    checked: bool = Field(default=True, description="False where there was nothing to check against; see `observed`.")
    observed: str = Field(default="", description="What was found, or why nothing could be checked.")
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
    labels: dict[str, int] = Field(default={}, description="Accepted labelled images by class.")
    statistics: dict[str, float] = Field(
        default={}, description="`<column>_<mean|std|median|spread>` over the accepted images; spread is 1.4826 MAD."
    )
    histograms: dict[str, tuple[int, ...]] = Field(
        default={}, description="Accepted images by column in bins of equal width, see `include.data.outliers.RANGES`."
    )
    expectations: tuple[ExpectationReport, ...] = ()
    success: bool = Field(description="Every expectation that stops a partition was met.")
    data_docs: str = Field(description="Address of the Data Docs page.")


class DatasetRef(Contract):
    """One immutable version of a project's image dataset, or what of it was known at a moment."""

    project: str
    address: str
    version: int = Field(ge=1)
    digest: Digest
    images: Count
    labelled: Count
    as_of: datetime | None = Field(default=None, description="Only what was observed and known by then.")


class DatasetDiffReport(Contract):
    """What one dataset version has that another has not, by image digest."""

    before: DatasetRef
    after: DatasetRef
    added: tuple[Digest, ...]
    removed: tuple[Digest, ...]
    relabelled: dict[Digest, tuple[str | None, str | None]] = Field(description="Label before and after.")


class LineageReport(Contract):
    """Where one image came from, and everything that saw it."""

    project: str
    image: Digest
    sources: tuple[str, ...]
    partitions: tuple[PartitionKey, ...]
    versions: tuple[int, ...] = Field(description="Dataset versions that hold it.")
    models: dict[str, str] = Field(description="Key of every model trained on such a version -> its run.")
    releases: tuple[Digest, ...]
    predictions: Count = Field(description="Logged answers of those releases.")


class PredictionLineageReport(Contract):
    """What stands behind one answer."""

    project: str
    request_id: str
    release: Digest
    model: Digest
    run_id: str
    dataset: DatasetRef
    partitions: dict[PartitionKey, Count] = Field(description="Images of the dataset version, by partition.")


class ErasureRequest(Contract):
    """Which images to forget, by digest or by the subject they show, and why."""

    digests: tuple[Digest, ...] = ()
    subject: str | None = Field(default=None, description="Key of the manifest's column `subject`.")
    reason: str = Field(pattern=r"\S")
    requested_by: str


class ErasureReport(Contract):
    """Receipt of an erasure."""

    project: str
    summary: str = Field(default="erased", description="What was found and erased, in words; maybe nothing.")
    images: tuple[Digest, ...] = Field(description="Images that are refused from now on, and gone if they were there.")
    subject: str | None = Field(default=None, description="SHA-256 of the subject key, when one was named.")
    reason: str
    requested_by: str
    versions: tuple[int, ...] = Field(description="Dataset versions removed because they held one of them.")
    version: int | None = Field(description="Version without them; none where the dataset never held them.")
    files: tuple[str, ...] = Field(description="Addresses removed: staged rows, reports, releases out of service.")
    models: tuple[str, ...] = Field(description="Keys of the models that learned from them, now marked.")
    sources: tuple[str, ...] = Field(description="Files it was delivered as; delete them there.")
    pending: tuple[Digest, ...] = Field(
        default=(),
        description="Releases that hold one as a golden image and may be serving: replace them, then repeat.",
    )
