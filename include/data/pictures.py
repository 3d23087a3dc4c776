"""Small pictures of stored images, for the pages that show them."""

import base64
from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from include.contracts import DatasetRef
from include.storage import Store
from include.vision.images import open_version

SIDE = 96
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 88]
BATCH_ROWS = 16
# A large JPEG decoded at a fraction of its size costs a fraction of the time.
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


@dataclass(frozen=True)
class Picture:
    """One image at most 96 pixels wide and high, as a data URI; `small` if it was not larger to begin with."""

    uri: str
    small: bool


def read_pictures(dataset: DatasetRef, digests: Collection[str], store: Store) -> dict[str, Picture]:
    """Read images of a dataset version by digest; those it does not hold, or that are damaged, are left out.

    Memory is bounded by the number asked for, whatever their size.

    :raises ArtifactNotFoundError: the version is gone.
    """
    if not digests:
        return {}
    wanted = ", ".join(f"'{digest}'" for digest in sorted(digests))
    scanner = open_version(dataset, store).scanner(
        columns=["digest", "image", "width", "height"],
        filter=f"digest IN ({wanted})",
        batch_size=BATCH_ROWS,
        batch_readahead=1,
        fragment_readahead=1,
    )
    pictures = {}
    for batch in scanner.to_batches():
        for row in batch.to_pylist():
            if picture := _draw(row["image"], row["width"], row["height"]):
                pictures[row["digest"]] = picture
    return pictures


def _draw(data: bytes, width: int, height: int) -> Picture | None:
    fitting = (flag for factor, flag in REDUCED.items() if min(width, height) >= factor * SIDE)
    flag = next(fitting, cv2.IMREAD_COLOR)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    small = max(width, height) <= SIDE
    if not small:
        scale = SIDE / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", pixels, QUALITY)[1].tobytes()
    return Picture(f"data:image/jpeg;base64,{base64.b64encode(encoded).decode()}", small)
