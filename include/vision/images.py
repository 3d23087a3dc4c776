"""Read one dataset version, as it is or as it was known at a moment, and name content."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import DatasetRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import DataConfig
from include.storage import Store, digest_bytes
from include.vision.stored_images import StoredImages
from include.vision.twins import find_leaks

CONTENT_COLUMNS = ["digest", "label", "group", "split", "partition"]
HISTORY = ["labels", "observed_at"]
FINGERPRINT = ["phash", "embedding"]
SEALED = "test"
ROW = "row"
# Manifest values hold no control characters, so these two cannot be forged by one.
BETWEEN, ABSENT = "\x1f", "\x00"


@dataclass(frozen=True)
class ImageSet:
    """Labelled images in digest order: RGB uint8 [H, W, 3], and one label, digest, partition and group for each."""

    images: Sequence[NDArray[np.uint8]]
    labels: list[str]
    digests: list[str]
    partitions: list[str]
    groups: list[str]


def read_split(dataset: DatasetRef, store: Store, split: str, data: DataConfig) -> ImageSet:
    """Read the labelled images of a split to learn from, from exactly the version referred to.

    Images with a near-duplicate in a more sealed split are left out: nothing is learned from what is examined on.

    :raises ContractViolationError: the split is the sealed one.
    :raises ArtifactNotFoundError: the version is gone, or holds other content than the one referred to.
    """
    if split == SEALED:
        raise ContractViolationError(
            f"the {SEALED} split of {_name(dataset, store)} is sealed: only the evaluation of a finished model reads "
            "it; learn from train, choose on validation"
        )
    version = open_version(dataset, store)
    rows = _read(version, dataset, store, FINGERPRINT)
    leaks = pa.array(find_leaks(rows, split, data.near_duplicate_bits))
    return _gather(version, _choose(rows.filter(pc.invert(leaks)), split))


def read_sealed_split(dataset: DatasetRef, store: Store, columns: Sequence[str]) -> tuple[ImageSet, pa.Table]:
    """Break the seal: read the labelled test images, and manifest columns of theirs in the same order.

    For `include.evaluation` alone; a test of the architecture holds every other module to that.

    :raises ArtifactNotFoundError: the version is gone, or holds other content than the one referred to.
    """
    version = open_version(dataset, store)
    rows = _choose(_read(version, dataset, store, columns), SEALED)
    return _gather(version, rows), rows.select(columns)


def read_rows(dataset: DatasetRef, store: Store, columns: Sequence[str]) -> pa.Table:
    """Read manifest columns of exactly the version referred to, in its order.

    :raises ArtifactNotFoundError: the version is gone, or holds other content than the one referred to.
    """
    return _read(open_version(dataset, store), dataset, store, columns).select(columns)


def find_partition(
    dataset: DatasetRef, store: Store, partition: str
) -> tuple[lance.LanceDataset, NDArray[np.int64], list[str]]:
    """Return a dataset version with the rows and digests of all images of a partition, in the order of digests.

    No label comes with them: answers to these images are no evidence of how good a model is.

    :raises ArtifactNotFoundError: the version is gone, or holds other content than the one referred to.
    """
    version = open_version(dataset, store)
    rows = _read(version, dataset, store, [])
    rows = rows.filter(pc.equal(rows["partition"], partition)).sort_by("digest")
    return version, rows[ROW].to_numpy(), rows["digest"].to_pylist()


def open_version(dataset: DatasetRef, store: Store) -> lance.LanceDataset:
    """Open a dataset version, its content unchecked.

    :raises ArtifactNotFoundError: the version is gone.
    """
    try:
        return lance.dataset(store.uri(dataset.address), version=dataset.version)
    except ValueError as error:
        raise ArtifactNotFoundError(
            f"no {_name(dataset, store)}; was it pruned, or the store moved (WINDHOVER_STORE)?"
        ) from error


def select_as_of(dataset: DatasetRef, moment: datetime, store: Store) -> DatasetRef:
    """Refer to what of a dataset version was known at a moment.

    :param moment: Aware time; images observed later and labels that became known later are not part of it.
    """
    version = open_version(dataset, store)
    rows = know_as_of(version.to_table(columns=[*CONTENT_COLUMNS, *HISTORY]), moment)
    labelled = rows.num_rows - rows["label"].null_count
    known = {"digest": digest_rows(rows), "images": rows.num_rows, "labelled": labelled, "as_of": moment}
    return dataset.model_copy(update=known)


def know_as_of(rows: pa.Table, moment: datetime) -> pa.Table:
    """Return the rows observed by a moment, each with the label that was known then.

    :param rows: Columns `observed_at`, `labels` (oldest first) and `label`, among others.
    """
    rows = rows.filter(pc.less_equal(rows["observed_at"], pa.scalar(moment)))
    history = rows["labels"].combine_chunks()
    owners, entries = pc.list_parent_indices(history), pc.list_flatten(history)
    known = pc.less_equal(pc.struct_field(entries, "known_at"), pa.scalar(moment))
    # Written oldest first, so that the last of a row overwrites the others.
    labels = np.full(rows.num_rows, None, dtype=object)
    names = pc.struct_field(entries, "label").filter(known).to_numpy(zero_copy_only=False)
    labels[owners.filter(known).to_numpy()] = names
    return rows.set_column(rows.schema.get_field_index("label"), "label", pa.array(labels, pa.string()))


def split_digest(image_set: ImageSet) -> str:
    """Name a split by its images and labels."""
    lines = sorted(f"{digest} {label}" for digest, label in zip(image_set.digests, image_set.labels, strict=True))
    return digest_bytes("\n".join(lines).encode())


def digest_rows(rows: pa.Table) -> str:
    """Name dataset rows by image, label, group, split and partition, in whatever order they come."""
    columns = [pc.fill_null(rows[name], ABSENT) for name in CONTENT_COLUMNS]
    lines = pc.binary_join_element_wise(*columns, BETWEEN)
    return digest_bytes("\n".join(lines.sort().to_pylist()).encode())


def _choose(rows: pa.Table, split: str) -> pa.Table:
    chosen = rows.filter(pc.and_(pc.equal(rows["split"], split), pc.is_valid(rows["label"])))
    return chosen.sort_by([("digest", "ascending"), ("partition", "ascending")])


def _gather(version: lance.LanceDataset, rows: pa.Table) -> ImageSet:
    return ImageSet(
        images=StoredImages(version, rows[ROW].to_numpy()),
        labels=rows["label"].to_pylist(),
        digests=rows["digest"].to_pylist(),
        partitions=rows["partition"].to_pylist(),
        groups=rows["group"].to_pylist(),
    )


def _read(version: lance.LanceDataset, dataset: DatasetRef, store: Store, columns: Sequence[str]) -> pa.Table:
    wanted = dict.fromkeys([*CONTENT_COLUMNS, *columns, *(HISTORY if dataset.as_of else [])])
    rows = version.to_table(columns=list(wanted))
    rows = rows.append_column(ROW, pa.array(np.arange(rows.num_rows)))
    if dataset.as_of:
        rows = know_as_of(rows, dataset.as_of)
    found = digest_rows(rows)
    if found != dataset.digest:
        raise ArtifactNotFoundError(
            f"{_name(dataset, store)} holds {found}, not {dataset.digest}: the dataset was rebuilt; publish and refer "
            "to it again"
        )
    return rows


def _name(dataset: DatasetRef, store: Store) -> str:
    moment = f" as of {dataset.as_of.isoformat()}" if dataset.as_of else ""
    return f"version {dataset.version}{moment} of {dataset.address!r} in store {store.root}"
