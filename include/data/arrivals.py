"""Find deliveries that are complete, and divide them into shards. Light: a trigger imports this at its top."""

import time
from datetime import date
from pathlib import Path

from include.contracts import BatchRef, ShardRef
from include.data.sources.folders import Folder, open_folder
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError
from include.project import Project, SourceConfig

IMAGES = "images"
SNAPSHOT = "snapshot"


def find_complete_batch(project: Project, landing: str, partition: str) -> BatchRef | None:
    """Return a partition's delivery once its source says that it is whole; None until then.

    A folder is whole when the marker lies in it, when nothing came for `quiet_seconds`, or when it has `count` images.
    An archive or a list is one file: the marker lies beside it, its name and the marker's joined by a dot. A list at an
    HTTP address and a named data set are whole as they stand.

    :param landing: Path or URI of the folder that holds one drop folder per project.
    :param partition: UTC day, `YYYY-MM-DD`; of no account where the whole source is one partition.
    :raises ArtifactNotFoundError: there is no such source, nor can there be one, so waiting is in vain.
    :raises ContractViolationError: the partition is no day.
    """
    source = project.source
    partition = SNAPSHOT if source.snapshot else _read_day(partition)
    uri = locate_delivery(project, landing, partition)
    if source.kind == "dataset" or uri.startswith(("http://", "https://")):
        return BatchRef(project=project.name, partition=partition, uri=uri, images=0)
    _require_place(project, landing, uri)
    images = _count_folder(source, open_folder(uri)) if source.kind == "folder" else _count_file(source, uri)
    if images is None:
        return None
    return BatchRef(project=project.name, partition=partition, uri=uri, images=images)


def locate_delivery(project: Project, landing: str, partition: str) -> str:
    """Return the URI of a partition's delivery, whether it is there or not."""
    uri = (project.source.uri or f"{project.name}/{{partition}}").replace("{partition}", partition)
    uri = uri.removeprefix("file://")
    return uri if "://" in uri or uri.startswith("/") else f"{landing.removeprefix('file://').rstrip('/')}/{uri}"


def plan_shards(project: Project, batch: BatchRef) -> list[ShardRef]:
    """Divide a collected delivery evenly among the project's parallel ingest tasks; a small one among fewer.

    :raises DataQualityError: the delivery is complete and has no image.
    """
    if not batch.images:
        raise DataQualityError(
            f"the delivery {batch.uri} is complete but has no image; deliver {batch.partition} again, with images"
            + (f" in {IMAGES}/" if project.source.layout == "manifest" else "")
        )
    count = min(project.data.shards, batch.images)
    return [ShardRef(batch=batch, index=index, count=count) for index in range(count)]


def enter_images(source: SourceConfig, folder: Folder) -> Folder:
    """Return the folder that the names of a delivery's images are relative to."""
    return folder.enter(IMAGES) if source.layout == "manifest" else folder


def is_image(source: SourceConfig, name: str) -> bool:
    """Tell whether a delivery's layout takes a file for an image."""
    if source.layout == "manifest":
        return True
    return name != source.marker and not (source.layout == "coco" and name.endswith(".json"))


def list_images(source: SourceConfig, folder: Folder) -> list[str]:
    """List what a delivery's layout takes for images, links included."""
    return [name for name in enter_images(source, folder).list_files() if is_image(source, name)]


def _count_folder(source: SourceConfig, folder: Folder) -> int | None:
    if source.complete == "marker" and folder.find_time(source.marker) is None:
        return None
    if source.complete == "quiet" and not _is_quiet(source, folder.find_youngest()):
        return None
    images = len(list_images(source, folder))
    return None if source.complete == "count" and images < source.count else images


def _count_file(source: SourceConfig, uri: str) -> int | None:
    """Return 0, for what a file holds is known when it is collected; None while it is not complete."""
    parent, _, name = uri.rpartition("/")
    folder = open_folder(parent)
    arrived = folder.find_time(name)
    if arrived is None:
        return None
    if source.complete == "marker":
        return 0 if folder.find_time(f"{name}.{source.marker}") is not None else None
    return 0 if _is_quiet(source, arrived) else None


def _is_quiet(source: SourceConfig, youngest: float | None) -> bool:
    return youngest is not None and time.time() - youngest >= source.quiet_seconds


def _require_place(project: Project, landing: str, uri: str) -> None:
    """Refuse to wait for a delivery below a folder of this machine that is not there."""
    if "://" in uri:
        return
    source = project.source
    if Path(uri).is_symlink():
        raise DataQualityError(f"{uri} is a symbolic link; deliver a real one, or name what it points at")
    if not source.uri.removeprefix("file://").startswith("/"):
        place, remedy = Path(landing.removeprefix("file://")), "point WINDHOVER_LANDING at the right one"
    elif source.snapshot:
        place, remedy = Path(uri), f"correct source.uri of project {project.name}"
        place = place if source.kind == "folder" else place.parent
    else:
        above = source.uri.removeprefix("file://").split("{partition}")[0]
        place, remedy = Path(above.rpartition("/")[0] or "/"), f"correct source.uri of project {project.name}"
    if not place.is_dir():
        raise ArtifactNotFoundError(f"no folder {place}; create it (mkdir -p {place}) or {remedy}")


def _read_day(partition: str) -> str:
    try:
        if date.fromisoformat(partition).isoformat() == partition:
            return partition
    except ValueError:
        pass
    raise ContractViolationError(f"partition {partition!r} is no day; name one like 2026-11-02")
