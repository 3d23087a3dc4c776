"""Whole partitions of a dataset answered at once."""

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, PartitionKey
from include.contracts.data import DatasetRef
from include.contracts.releases import ReleaseRef


class BatchShardRef(Contract):
    """Every `count`-th image of a partition, starting at `index` in the order of digests, and who answers."""

    dataset: DatasetRef
    partition: PartitionKey
    release: ReleaseRef
    index: Count
    count: int = Field(ge=1)


class BatchReport(Contract):
    """The answers of a release to a partition, and what they were made of."""

    dataset: DatasetRef
    partition: PartitionKey
    release: Digest
    model_version: int
    address: str = Field(description="Folder with `predictions.parquet` and this report as `lineage.json`.")
    page: str = Field(description="Address of a page that sums the answers up.")
    digest: Digest = Field(description="Of the answers.")
    images: Count
