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
    seen: Count
    accepted: Count
    duplicates: Count
    quarantined: Count


class ExpectationReport(Contract):
    """One data expectation and the rows that broke it."""

    expectation: str
    column: str | None = None
    on_failure: Literal["stop", "quarantine", "warn"] = "stop"
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


class ErasureReport(Contract):
    """Receipt of an erasure."""

    project: str
    images: tuple[Digest, ...] = Field(description="Images that are gone.")
    subject: str | None = Field(default=None, description="SHA-256 of the subject key, when one was named.")
    reason: str
    requested_by: str
    versions: tuple[int, ...] = Field(description="Dataset versions removed because they held one of them.")
    version: int | None = Field(description="Version without them; none where the dataset never held them.")
    files: tuple[str, ...] = Field(description="Addresses removed from the store: staged rows, quarantine, reports.")
    models: tuple[str, ...] = Field(description="Keys of the models that learned from them, now marked.")
    sources: tuple[str, ...] = Field(description="Files that still lie at their source; delete them there.")
