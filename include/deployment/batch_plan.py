"""Choose who answers a partition of a dataset, and divide its images among tasks."""

import math
from datetime import datetime

from include.contracts import BatchShardRef, DatasetRef, ReleaseRef
from include.deployment.batch import find_champion
from include.errors import ArtifactNotFoundError, DataQualityError
from include.ledger import Ledger
from include.ledger.releases import find_release_of
from include.project import Project
from include.storage import Store
from include.vision.images import find_partition

# One task uses every core of its machine; for fewer images another is not worth its start.
SHARD_IMAGES = 1_000


def select_release(project: str, ledger: Ledger, version: int | None, moment: datetime) -> ReleaseRef | None:
    """Return the release of a model version, or else the champion of a moment; None when nothing answered then.

    :raises ArtifactNotFoundError: that version was never packaged.
    """
    if version is not None:
        return find_release_of(ledger, project, version)
    try:
        return find_champion(ledger, project, moment)
    except ArtifactNotFoundError:
        return None


def plan_batch(
    project: Project, dataset: DatasetRef, partition: str, release: ReleaseRef, store: Store
) -> list[BatchShardRef]:
    """Divide a partition among the project's parallel tasks; a small one among fewer.

    :raises DataQualityError: the partition holds no image.
    """
    images = len(find_partition(dataset, store, partition)[2])
    if not images:
        raise DataQualityError(
            f"partition {partition} of version {dataset.version} of {project.name} holds no image; publish it first, "
            "or name another day"
        )
    count = min(project.data.shards, math.ceil(images / SHARD_IMAGES))
    return [
        BatchShardRef(dataset=dataset, partition=partition, release=release, index=index, count=count)
        for index in range(count)
    ]
