"""What could give a label away without anybody recognising what is shown: a few numbers of each image."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from include.errors import ArtifactNotFoundError

JPEG = b"\xff\xd8"
# Quantisation tables, and what comes after the last of them: frames, scans (ITU-T T.81, table B.1).
DQT, SOS = 0xDB, 0xDA
LUMA_TABLE = 65
# Enough to see frames, marks and casts; a large JPEG is decoded at a fraction of its size.
SIDE = 256
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
# Shares of the shorter side.
BORDER, CORNER = 1 / 24, 1 / 6
MARK_CELLS = 3
BLOCK = 8  # of JPEG's transform
DAY_SECONDS = 86_400

Giveaways = dict[str, dict[str, float]]
Pixels = NDArray[np.uint8]


def describe(row: Mapping[str, Any], classes: Sequence[str]) -> Giveaways:
    """Describe one image by cue: named numbers; a cue that an image cannot have is absent.

    Beside border and corners stands a control of each, `inner_border` and `inner_corners`: as much of the middle.

    :param row: `image` (the stored file), `source`, `observed_at`, `width`, `height`.
    :param classes: Their names are taken out of `source`: a folder named after a class is how labels are delivered.
    :raises ArtifactNotFoundError: the stored file is damaged.
    """
    image, width, height = row["image"], row["width"], row["height"]
    pixels = _decode(image, width, height)
    middle = _crop(pixels)
    found: Giveaways = {
        "file_size": {"bytes": math.log(len(image)), "density": math.log(len(image) / (width * height))},
        "dimensions": {"width": width, "height": height, "aspect": width / height},
        "source": {name_source(row["source"], tuple(classes)): 1},
        "capture_time": _time(row["observed_at"]),
        "border": _border(pixels, pixels),
        "corners": _corners(pixels, pixels),
        "inner_border": _border(middle, pixels),
        "inner_corners": _corners(middle, pixels),
        "colour": _colour(pixels),
        "brightness": {"mean": float(pixels.mean()), "spread": float(pixels.std())},
        "noise": _noise(pixels),
    }
    if image.startswith(JPEG):
        found["jpeg_tables"] = _tables(image)
    return found


def name_source(source: str, classes: tuple[str, ...]) -> str:
    """Return what files of one origin share in their names: the name without numbers and classes."""
    return re.sub(r"\d+", "#", _any_of(classes).sub("", source.casefold()))


@lru_cache
def _any_of(classes: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(name.casefold()) for name in sorted(classes, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{names})(?![^\W_])")


def _decode(image: bytes, width: int, height: int) -> Pixels:
    fitting = (flag for factor, flag in REDUCED.items() if min(width, height) >= factor * SIDE)
    flag = next(fitting, cv2.IMREAD_COLOR)
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ArtifactNotFoundError(f"a stored image of {len(image)} bytes is damaged; restore the store from a backup")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _crop(pixels: Pixels) -> Pixels:
    """Return the middle, half as high and wide."""
    rows, columns = (size // 4 for size in pixels.shape[:2])
    return pixels[rows : pixels.shape[0] - rows, columns : pixels.shape[1] - columns]


def _border(pixels: Pixels, whole: Pixels) -> dict[str, float]:
    width = max(1, round(min(whole.shape[:2]) * BORDER))
    sides = {"top": pixels[:width], "bottom": pixels[-width:], "left": pixels[:, :width], "right": pixels[:, -width:]}
    return {f"{side}_{name}": value for side, strip in sides.items() for name, value in _summarise(strip).items()}


def _corners(pixels: Pixels, whole: Pixels) -> dict[str, float]:
    side = max(1, round(min(whole.shape[:2]) * CORNER))
    rows, columns = (
        {"top": slice(side), "bottom": slice(-side, None)},
        {"left": slice(side), "right": slice(-side, None)},
    )
    found: dict[str, float] = {}
    for (row, down), (column, across) in product(rows.items(), columns.items()):
        patch = np.ascontiguousarray(pixels[down, across])
        cells = cv2.resize(patch, (MARK_CELLS, MARK_CELLS), interpolation=cv2.INTER_AREA).mean(axis=2).ravel()
        values = _summarise(patch) | {str(cell): float(value) for cell, value in enumerate(cells)}
        found |= {f"{row}_{column}_{name}": value for name, value in values.items()}
    return found


def _summarise(strip: Pixels) -> dict[str, float]:
    red, green, blue = strip.reshape(-1, 3).mean(axis=0).tolist()
    return {"red": red, "green": green, "blue": blue, "spread": float(strip.std())}


def _colour(pixels: Pixels) -> dict[str, float]:
    """Measure the hue without the light: red and blue against green."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), 2, 0)
    against = {"red": red - green, "blue": blue - green}
    means = {name: float(values.mean()) for name, values in against.items()}
    return means | {f"{name}_spread": float(values.std()) for name, values in against.items()}


def _noise(pixels: Pixels) -> dict[str, float]:
    """Measure detail finer than a 3 x 3 median, and steps at the 8 x 8 blocks of JPEG against all steps."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    luma = grey.astype(np.float32)
    residual = np.abs(luma - cv2.medianBlur(grey, 3))
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=0) if luma.shape[1] > BLOCK else np.zeros(BLOCK, np.float32)
    blocks = float(steps[BLOCK - 1 :: BLOCK].mean() - steps.mean())
    return {"mean": float(residual.mean()), "median": float(np.median(residual)), "blocks": blocks}


def _time(moment: datetime) -> dict[str, float]:
    """Place a moment on the clock, which has no midnight, in the week and on the calendar."""
    of_day = moment.hour * 3600 + moment.minute * 60 + moment.second
    angle = 2 * math.pi * of_day / DAY_SECONDS
    return {
        "clock_sine": math.sin(angle),
        "clock_cosine": math.cos(angle),
        "weekday": moment.weekday(),
        "moment": moment.timestamp(),
    }


def _tables(image: bytes) -> dict[str, float]:
    """Sum up the quantisation tables of a JPEG: an encoder and its quality are known by them."""
    tables, at = b"", 2
    while at + 4 <= len(image) and image[at] == 0xFF and image[at + 1] != SOS:
        length = int.from_bytes(image[at + 2 : at + 4])
        if image[at + 1] == DQT:
            tables += image[at + 4 : at + 2 + length]
        at += 2 + length
    return {"sum": sum(tables), "luma": sum(tables[:LUMA_TABLE]), "bytes": len(tables)}
