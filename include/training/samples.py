"""What a model learns from: labelled images of one split, checked before an epoch is spent on them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from include.contracts import DatasetRef
from include.errors import DataQualityError
from include.project import Project
from include.storage import Store
from include.training.recency import choose_days
from include.vision.images import read_split
from include.vision.stored_images import StoredImages


@dataclass(frozen=True)
class Samples:
    """Images, uint8 [H, W, 3], and the index of each one's class, int64 [N]."""

    images: Sequence[NDArray[np.uint8]]
    targets: torch.Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return the images at several positions; of those in the store, at one go."""
        if isinstance(self.images, StoredImages):
            return self.images.read(positions)
        return [self.images[position] for position in positions]

    def choose(self, positions: Sequence[int]) -> "Samples":
        """Return the samples at several positions."""
        stored = self.images
        images = stored.choose(positions) if isinstance(stored, StoredImages) else self.take(positions)
        return Samples(images, self.targets[list(positions)])


def read_samples(project: Project, dataset: DatasetRef, store: Store) -> tuple[Samples, Samples]:
    """Read the train split, as far as `training.mode` learns from it, and the validation split.

    :raises DataQualityError: too few images, a class without any, or a label that is no class of the project.
    """
    train = _read(project, dataset, store, "train")
    validation = _read(project, dataset, store, "validation")
    smallest = project.training.min_images
    if len(train) < smallest:
        raise DataQualityError(
            f"{_name(dataset)}: {len(train)} labelled training images, training.min_images is {smallest}; "
            "ingest more days or wait for labels"
        )
    counts = torch.bincount(train.targets, minlength=len(project.classes)).tolist()
    absent = [name for name, count in zip(project.classes, counts, strict=True) if count == 0]
    if absent:
        raise DataQualityError(
            f"{_name(dataset)}: no training image of class {', '.join(absent)} among {len(train)} "
            f"({_count(dict(zip(project.classes, counts, strict=True)))}); ingest labelled images of it, or take it "
            "out of the project's classes"
        )
    if not len(validation):
        raise DataQualityError(
            f"{_name(dataset)}: {len(train)} training images but none for validation, so no epoch can be called the "
            "best; ingest more groups or raise data.validation_share"
        )
    return train, validation


def _read(project: Project, dataset: DatasetRef, store: Store, split: str) -> Samples:
    read = read_split(dataset, store, split, project.data)
    unknown = Counter(label for label in read.labels if label not in project.classes)
    if unknown:
        raise DataQualityError(
            f"{_name(dataset)}: {split} images labelled {_count(unknown)}, which are no classes of "
            f"{project.name} ({', '.join(project.classes)}); correct the labels or add the classes"
        )
    indices = torch.tensor([project.classes.index(label) for label in read.labels], dtype=torch.int64)
    samples = Samples(images=read.images, targets=indices)
    chosen = choose_days(read.partitions, project.training) if split == "train" else None
    return samples if chosen is None else samples.choose(chosen)


def _name(dataset: DatasetRef) -> str:
    return f"dataset {dataset.project} version {dataset.version}"


def _count(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
