"""Read one delivery: which files it has, what it says of them, their bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from include.contracts import BatchRef, QuarantineReason
from include.data.arrivals import enter_images, is_image
from include.data.sources import class_folders, coco, manifest
from include.data.sources.collected import Collection, open_collection
from include.data.sources.expanded import ExpandedFolder
from include.data.sources.facts import Facts, Shot, date_frame, date_observation
from include.data.sources.facts import Label as Label
from include.data.sources.folders import Folder, open_folder
from include.data.sources.names import UnfitFileError as UnfitFileError
from include.data.sources.videos import read_frame
from include.errors import ContractViolationError
from include.project import Project, SourceConfig
from include.storage import Store

_LAYOUTS: dict[str, Callable[[SourceConfig, Folder, dict[str, datetime]], Facts]] = {
    "manifest": manifest.read_facts,
    "class_folders": class_folders.read_facts,
    "coco": coco.read_facts,
}


@dataclass(frozen=True)
class Delivery:
    """The files of one partition and what is said of them, by file name.

    :ivar images: Folder that the names are relative to; pickles small, for workers that only read.
    :ivar names: Everything seen, sorted; names that only labels know come last.
    :ivar labels: What was known of each file, oldest first.
    :ivar refused: Files known to be unfit before they are read; not all of them can be read.
    :ivar origin: Where the names are relative to at the source.
    :ivar sources: Where files came from that came from elsewhere.
    """

    images: Folder
    names: tuple[str, ...]
    shots: dict[str, Shot]
    labels: dict[str, tuple[Label, ...]]
    refused: dict[str, tuple[QuarantineReason, str]]
    origin: str
    sources: dict[str, str]

    def source_of(self, name: str) -> str:
        """Say where a file came from: a path or URI; of a frame, with its time (W3C Media Fragments 1.0)."""
        frame = read_frame(name)
        if frame:
            clip, milliseconds = frame
            return f"{self.source_of(clip)}#t={milliseconds / 1000:.3f}"
        return self.sources.get(name) or self.origin + name


def open_delivery(project: Project, batch: BatchRef, store: Store) -> Delivery:
    """Read the listing of a collected delivery, and what it says of its files.

    :raises DataQualityError: what it says cannot be read; names the file and line.
    :raises ArtifactNotFoundError: what was collected of it was removed meanwhile.
    """
    root, images, collection = _open(project.source, batch, store)
    files = {name: at for name, at in images.list_files().items() if is_image(project.source, name)}
    frames = _find_frames(files) if project.source.frame_seconds else {}
    times = {
        frames[name][0] if name in frames else name: date_observation(
            batch.partition, collection.modified.get(name, at)
        )
        for name, at in files.items()
    }
    facts = _LAYOUTS[project.source.layout](project.source, root, times)
    if frames:
        facts = _spread(facts, frames)
    return Delivery(
        images=images,
        names=facts.names,
        shots=facts.shots,
        labels=facts.labels,
        refused=facts.refused | collection.refused,
        origin=_find_origin(project.source, batch),
        sources=collection.sources,
    )


def _open(source: SourceConfig, batch: BatchRef, store: Store) -> tuple[Folder, Folder, Collection]:
    """Return the folder of the tables, that of the images, and what is remembered of the collecting."""
    if batch.collected is None:
        if source.kind != "folder":
            raise ContractViolationError(f"{batch.uri} is no folder; collect the batch before it is read")
        root = open_folder(batch.uri)
        return root, enter_images(source, root), Collection(images=batch.images)
    content, collection = open_collection(store, batch)
    if source.kind != "folder":
        return content, enter_images(source, content), collection
    root = open_folder(batch.uri)
    frames = enter_images(source, content)
    return root, ExpandedFolder(enter_images(source, root), frames, frozenset(collection.clips)), collection


def _find_frames(files: dict[str, float]) -> dict[str, tuple[str, int]]:
    return {name: frame for name in files if (frame := read_frame(name))}


def _spread(facts: Facts, frames: dict[str, tuple[str, int]]) -> Facts:
    """Say of every frame what is said of its clip."""
    of_clip: dict[str, list[str]] = {}
    for name, (clip, _) in frames.items():
        of_clip.setdefault(clip, []).append(name)
    spread = Facts(tuple(frame for name in facts.names for frame in of_clip.get(name, [name])))
    for name in spread.names:
        clip, milliseconds = frames.get(name, (name, 0))
        if shot := facts.shots.get(clip):
            spread.shots[name] = Shot(date_frame(shot, milliseconds), shot.group, shot.subject)
        if clip in facts.labels:
            spread.labels[name] = tuple(
                _date_label(label, shot, spread.shots.get(name)) for label in facts.labels[clip]
            )
        if clip in facts.refused:
            spread.refused[name] = facts.refused[clip]
    return spread


def _date_label(label: Label, clip: Shot | None, frame: Shot | None) -> Label:
    """Let a clip's label be known of a frame no sooner than the frame; one that came before the clip is an error."""
    if clip is None or frame is None or label.known_at < clip.observed_at:
        return label
    return Label(label.label, max(label.known_at, frame.observed_at))


def _find_origin(source: SourceConfig, batch: BatchRef) -> str:
    if source.kind == "dataset":
        return f"{batch.uri}#"
    return f"{enter_images(source, open_folder(batch.uri)).uri}/"
