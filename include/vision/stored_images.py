"""Images of one dataset version, decoded when they are asked for."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

import cv2
import lance
import numpy as np
from numpy.typing import NDArray

from include.errors import ArtifactNotFoundError

# Decoded images up to this size together are kept: the second epoch over them costs no decoding.
KEPT_BYTES = 2 * 2**30
CHUNK = 256
RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

Pixels = NDArray[np.uint8]


class StoredImages(Sequence[Pixels]):
    """RGB uint8 images [H, W, 3] by position; those that fit into memory are decoded once.

    What is stored was checked and decoded on its way in, so that a faster decoder may read it; its pixels are those
    of the decoder that checked.

    :param version: Opened dataset version.
    :param rows: Place of each image in the version.
    :param kept_bytes: Decoded bytes to keep.
    """

    def __init__(self, version: lance.LanceDataset, rows: NDArray[np.int64], kept_bytes: int = KEPT_BYTES) -> None:
        self._version = version
        self._rows = rows
        self._kept: dict[int, Pixels] = {}
        self._room = kept_bytes

    @property
    def place(self) -> tuple[str, int, NDArray[np.int64]]:
        """Return what opens the same images in another process: the dataset's URI, its version, and their rows."""
        return self._version.uri, self._version.version, self._rows

    def choose(self, positions: Sequence[int]) -> "StoredImages":
        """Return the images at several positions as a sequence of their own."""
        return StoredImages(self._version, self._rows[list(positions)], self._room)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pixels]: ...

    def __getitem__(self, index: int | slice) -> Pixels | list[Pixels]:
        if isinstance(index, slice):
            return self.read(range(len(self))[index])
        return self.read([range(len(self))[index]])[0]

    def __iter__(self) -> Iterator[Pixels]:
        for start in range(0, len(self), CHUNK):
            yield from self[start : start + CHUNK]

    def read(self, positions: Sequence[int]) -> list[Pixels]:
        """Return the images at several positions, in their order, decoded on all cores."""
        try:
            return [self._kept[position] for position in positions]
        except KeyError:
            absent = sorted({position for position in positions if position not in self._kept})
        found: dict[int, Pixels] = {}
        for start in range(0, len(absent), CHUNK):
            chunk = absent[start : start + CHUNK]
            found |= zip(chunk, self._decode(chunk), strict=True)
        self._keep(found)
        return [found[position] if position in found else self._kept[position] for position in positions]

    def _decode(self, positions: Sequence[int]) -> list[Pixels]:
        stored = self._version.take(self._rows[positions], columns=["image"])["image"].to_pylist()
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            return list(threads.map(decode_stored, stored))

    def _keep(self, images: dict[int, Pixels]) -> None:
        for position, pixels in images.items():
            if pixels.nbytes > self._room:
                return
            self._kept[position] = pixels
            self._room -= pixels.nbytes


def decode_stored(data: bytes) -> Pixels:
    """Decode one stored image, PNG or JPEG, to RGB uint8 [H, W, 3].

    :raises ArtifactNotFoundError: the bytes are damaged, which they were not when they were published.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), RGB)
    if pixels is None:
        raise ArtifactNotFoundError(f"a stored image of {len(data)} bytes is damaged; restore the store from a backup")
    return np.asarray(pixels, dtype=np.uint8)
