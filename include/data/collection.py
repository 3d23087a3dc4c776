"""Make a plain folder of what is none: archives, lists of URLs, named data sets, videos."""

import json
import tempfile
from pathlib import Path

from include.contracts import BatchRef
from include.data.arrivals import IMAGES, list_images
from include.data.sources.collected import CONTENT, Collection, find_collection
from include.data.sources.collectors import Fill, prepare
from include.data.sources.folders import open_folder
from include.data.sources.frames import expand_clips
from include.data.sources.web import Web
from include.project import Project
from include.storage import Store, digest_bytes

_MAY_PASS = {"download_failed", "bad_checksum", "forbidden_target"}


def collect_batch(project: Project, batch: BatchRef, store: Store, web: Web | None = None) -> BatchRef:
    """Collect a delivery into the store where it is no plain folder of images; a plain one passes through.

    The same delivery gives the same address, and what is collected already is not collected again, except a list of
    which something could not be fetched.

    :param web: Client for lists of URLs; one that reaches the public internet only, unless given.
    :raises DataQualityError: an archive is unsafe or broken, or a list cannot be read.
    :raises ServiceUnavailableError: a list or a data set cannot be fetched now.
    """
    prepared = prepare(project, batch, web or Web())
    if prepared is None:
        return batch
    key, fill = prepared
    address = f"{project.name}/collected/{batch.partition}/{_digest(_describe(project, key))}"
    collection = find_collection(store, address)
    if collection is None:
        with tempfile.TemporaryDirectory() as scratch:
            collection = _collect(project, Path(scratch) / CONTENT, fill)
            if any(reason in _MAY_PASS for reason, _ in collection.refused.values()):
                address += f"-{_digest(collection.model_dump_json())}"
            collection.save(Path(scratch))
            store.publish_folder(Path(scratch), address)
    return batch.model_copy(update={"collected": address, "images": collection.images})


def _collect(project: Project, content: Path, fill: Fill) -> Collection:
    content.mkdir()
    collection = fill(content)
    refused = dict(collection.refused)
    clips: list[str] = []
    if project.source.frame_seconds:
        images = content / IMAGES if project.source.layout == "manifest" else content
        clips, broken = expand_clips(images, project.source.frame_seconds, project.data.max_pixels)
        refused |= broken
    found = set(list_images(project.source, open_folder(str(content))))
    images_seen = collection.images + len(found | refused.keys())
    return collection.model_copy(update={"refused": refused, "clips": tuple(clips), "images": images_seen})


def _describe(project: Project, key: str) -> str:
    """Name everything that what is collected depends on."""
    source = project.source.model_dump(mode="json", include={"uri", "layout", "group_pattern", "frame_seconds"})
    return json.dumps([key, source, project.classes, project.data.max_bytes, project.data.max_pixels])


def _digest(text: str) -> str:
    return digest_bytes(text.encode()).removeprefix("sha256:")[:16]
