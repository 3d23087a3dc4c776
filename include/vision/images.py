"""Read labelled images of one dataset version, and name content."""

import io
from dataclasses import dataclass

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from include.contracts import DatasetRef
from include.errors import ArtifactNotFoundError
from include.storage import Store, digest_bytes

CONTENT_COLUMNS = ["digest", "label", "group", "split", "partition"]
# Manifest values hold no control characters, so these two cannot be forged by one.
BETWEEN, ABSENT = "\x1f", "\x00"


@dataclass(frozen=True)
class ImageSet:
    """Labelled images in digest order: RGB uint8 [H, W, 3], and one label, digest, partition and group for each."""

    images: list[NDArray[np.uint8]]
    labels: list[str]
    digests: list[str]
    partitions: list[str]
    groups: list[str]


def read_split(dataset: DatasetRef, store: Store, split: str) -> ImageSet:
    """Read the labelled images of a split, from exactly the version referred to.

    :raises ArtifactNotFoundError: the version is gone, or holds other content than the one referred to.
    """
    version = _open_version(dataset, store)
    columns = ["digest", "image", "label", "partition", "group"]
    chosen = f"split = '{split}' AND label IS NOT NULL"
    rows = version.to_table(columns=columns, filter=chosen).sort_by(
        [("digest", "ascending"), ("partition", "ascending")]
    )
    return ImageSet(
        images=[_decode(data) for data in rows["image"].to_pylist()],
        labels=rows["label"].to_pylist(),
        digests=rows["digest"].to_pylist(),
        partitions=rows["partition"].to_pylist(),
        groups=rows["group"].to_pylist(),
    )


def split_digest(image_set: ImageSet) -> str:
    """Name a split by its images and labels."""
    lines = sorted(f"{digest} {label}" for digest, label in zip(image_set.digests, image_set.labels, strict=True))
    return digest_bytes("\n".join(lines).encode())


def digest_rows(rows: pa.Table) -> str:
    """Name dataset rows by image, label, group, split and partition, in whatever order they come."""
    columns = [pc.fill_null(rows[name], ABSENT) for name in CONTENT_COLUMNS]
    lines = pc.binary_join_element_wise(*columns, BETWEEN)
    return digest_bytes("\n".join(lines.sort().to_pylist()).encode())


def _open_version(dataset: DatasetRef, store: Store) -> lance.LanceDataset:
    name = f"version {dataset.version} of {dataset.address!r} in store {store.root}"
    try:
        version = lance.dataset(str(store.path(dataset.address)), version=dataset.version)
    except ValueError as error:
        raise ArtifactNotFoundError(f"no {name}; was it pruned, or the store moved (WINDHOVER_STORE)?") from error
    found = digest_rows(version.to_table(columns=CONTENT_COLUMNS))
    if found != dataset.digest:
        raise ArtifactNotFoundError(
            f"{name} holds {found}, not {dataset.digest}: the dataset was rebuilt; publish and refer to it again"
        )
    return version


def _decode(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.array(image, dtype=np.uint8)
