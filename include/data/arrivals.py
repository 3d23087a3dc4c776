"""Find deliveries that are complete, and divide them into shards. Light: a trigger imports this at its top."""

import os
from datetime import date
from pathlib import Path

from include.contracts import BatchRef, ShardRef
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError
from include.project import Project

IMAGES = "images"


def find_complete_batch(project: Project, landing: Path, partition: str) -> BatchRef | None:
    """Return a partition's delivery once its writer has left the marker; None until then.

    :param landing: Folder that holds one drop folder per project.
    :param partition: UTC day, `YYYY-MM-DD`.
    :raises ArtifactNotFoundError: there is no landing folder at all, so waiting is in vain.
    """
    if not landing.is_dir():
        raise ArtifactNotFoundError(
            f"no landing folder {landing}; create it (mkdir -p {landing}) or point WINDHOVER_LANDING at the right one"
        )
    folder = landing / (project.data.folder or project.name) / _read_day(partition)
    if folder.is_symlink():
        raise DataQualityError(f"{folder} is a symbolic link; deliver a real folder")
    if not (folder / project.data.marker).is_file():
        return None
    return BatchRef(
        project=project.name,
        partition=partition,
        folder=folder.relative_to(landing).as_posix(),
        images=len(list_images(folder)),
    )


def plan_shards(project: Project, batch: BatchRef) -> list[ShardRef]:
    """Divide a delivery evenly among the project's parallel ingest tasks; a small one among fewer.

    :raises DataQualityError: the delivery is complete and has no image.
    """
    if not batch.images:
        raise DataQualityError(
            f"the delivery {batch.folder} is marked complete but has no image in images/; "
            f"deliver {batch.partition} again, or remove its {project.data.marker}"
        )
    count = min(project.data.shards, batch.images)
    return [ShardRef(batch=batch, index=index, count=count) for index in range(count)]


def list_images(folder: Path) -> list[str]:
    """List everything below a delivery's `images/`, links included and none followed, as names relative to it."""
    images = folder / IMAGES
    if images.is_symlink():
        raise DataQualityError(f"{images} is a symbolic link; deliver a real folder")
    names = []
    for parent, folders, files in os.walk(images, followlinks=False):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        names += [(Path(parent) / name).relative_to(images).as_posix() for name in (*files, *links)]
    return sorted(names)


def _read_day(partition: str) -> str:
    try:
        if date.fromisoformat(partition).isoformat() == partition:
            return partition
    except ValueError:
        pass
    raise ContractViolationError(f"partition {partition!r} is no day; name one like 2026-11-02")
