"""Hand a training over to other processes: what to do, and its images, by place where they are in the store."""

from collections.abc import Callable, Sequence
from pathlib import Path

import lance
import numpy as np
import torch

from include.contracts import Contract, Digest
from include.project import TrainingConfig
from include.storage import Store, write_atomically
from include.training.checkpoints import Checkpoints
from include.training.samples import Samples
from include.vision.stored_images import KEPT_BYTES, Pixels, StoredImages

JOB = "job.json"
TARGETS, ROWS, SHAPES, PIXELS = "targets.npy", "rows.npy", "shapes.npy", "pixels"
SPLITS = ("train", "validation")


class CheckpointRef(Contract):
    """Where the checkpoints of a training are."""

    store: str
    project: str
    key: Digest


class DatasetPlace(Contract):
    """An opened dataset version."""

    uri: str
    version: int


class TrainingJob(Contract):
    """What the processes of one training are told.

    :param places: Where the images of each split are; None: in this folder.
    """

    training: TrainingConfig
    classes: int
    places: tuple[DatasetPlace | None, DatasetPlace | None]
    checkpoints: CheckpointRef | None


def write_job(
    folder: Path,
    training: TrainingConfig,
    classes: int,
    splits: tuple[Samples, Samples],
    checkpoints: Checkpoints | None,
) -> None:
    """Write down a training, with a copy of the checkpoint that all its processes go on from."""
    train, validation = (_write_samples(samples, folder / name) for samples, name in zip(splits, SPLITS, strict=True))
    where = None
    if checkpoints is not None:
        where = CheckpointRef(store=checkpoints.store.root, project=checkpoints.project, key=checkpoints.key)
        if checkpoints.store.exists(checkpoints.address):
            _open_copy(folder).write(checkpoints.address, checkpoints.store.read(checkpoints.address))
    job = TrainingJob(training=training, classes=classes, places=(train, validation), checkpoints=where)
    write_atomically(folder / JOB, job.model_dump_json().encode())


def read_job(folder: Path) -> TrainingJob:
    """Read what this process is to do."""
    return TrainingJob.model_validate_json((folder / JOB).read_bytes())


def read_splits(folder: Path, job: TrainingJob, own: Callable[[int], slice]) -> tuple[Samples, Samples]:
    """Return all training images, and of the validation images this process's share; each process keeps its part."""
    splits = []
    for name, place in zip(SPLITS, job.places, strict=True):
        targets = torch.from_numpy(np.load(folder / name / TARGETS))
        chosen = own(len(targets)) if name == "validation" else slice(len(targets))
        images = _read_images(folder / name, place, chosen, job.training.processes)
        splits.append(Samples(images, targets[chosen]))
    return splits[0], splits[1]


def open_start(folder: Path, job: TrainingJob) -> Checkpoints | None:
    """Open the checkpoint to go on from: the same for every process, whatever is written meanwhile."""
    return Checkpoints(_open_copy(folder), job.checkpoints.project, job.checkpoints.key) if job.checkpoints else None


def open_checkpoints(job: TrainingJob) -> Checkpoints | None:
    """Open the checkpoint to replace after every epoch."""
    where = job.checkpoints
    return Checkpoints(Store(where.store), where.project, where.key) if where else None


def _open_copy(folder: Path) -> Store:
    return Store(str(folder / "start"))


def _write_samples(samples: Samples, folder: Path) -> DatasetPlace | None:
    folder.mkdir()
    np.save(folder / TARGETS, samples.targets.numpy())
    if isinstance(samples.images, StoredImages):
        uri, version, rows = samples.images.place
        np.save(folder / ROWS, rows)
        return DatasetPlace(uri=uri, version=version)
    np.save(folder / SHAPES, np.array([image.shape for image in samples.images]).reshape(-1, 3))
    with (folder / PIXELS).open("wb") as file:
        file.writelines(np.ascontiguousarray(image).data for image in samples.images)
    return None


def _read_images(folder: Path, place: DatasetPlace | None, chosen: slice, processes: int) -> Sequence[Pixels]:
    if place is not None:
        version = lance.dataset(place.uri, version=place.version)
        return StoredImages(version, np.load(folder / ROWS)[chosen], KEPT_BYTES // processes)
    shapes = np.load(folder / SHAPES)
    ends = np.cumsum(shapes.prod(axis=1))[:-1]
    if not len(shapes):
        return []
    # Mapped, so that all processes share one copy in memory.
    pixels = np.memmap(folder / PIXELS, np.uint8, mode="c")
    return [part.reshape(shape) for part, shape in zip(np.split(pixels, ends)[chosen], shapes[chosen], strict=True)]
