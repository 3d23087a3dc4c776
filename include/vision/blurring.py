"""Blur faces, number plates and whatever else a project names, so that nobody can be recognised.

Cascades after Viola and Jones, "Rapid object detection using a boosted cascade of simple features" (2001), as shipped
with OpenCV: they find upright frontal faces and Russian plates, and miss others.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Protocol

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from include.errors import ContractViolationError
from include.project import DataConfig

CASCADES = {"faces": "haarcascade_frontalface_alt2.xml", "plates": "haarcascade_russian_plate_number.xml"}
# What remains of a region: so many cells along each side, too few to recognise anybody by.
CELLS = 5
# A cascade marks the middle of a face; ears and chin lie outside.
MARGIN = 0.15
# Larger images are searched at this size: their time grows with the square, and what is smaller shows nobody.
SEARCHED_SIDE = 800

Region = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


class Anonymiser(Protocol):
    """Finds what must not be recognisable.

    One of your own is a class whose `__init__` takes the folder `data.blur_models`, or `""`.
    """

    def find_regions(self, image: NDArray[np.uint8]) -> Sequence[Region]:
        """Return the regions to blur.

        :param image: uint8 RGB, [height, width, 3].
        """
        ...


class CascadeAnonymiser:
    """Finds one kind of object with an OpenCV cascade.

    :param model: File of the cascade.
    :raises ContractViolationError: it cannot be read.
    """

    def __init__(self, model: Path) -> None:
        # Every core has a decoder of its own already.
        cv2.setNumThreads(1)
        self._cascade = cv2.CascadeClassifier()
        try:
            loaded = model.is_file() and self._cascade.load(str(model))
        except cv2.error:
            loaded = False
        if not loaded:
            raise ContractViolationError(f"{model} is no cascade of OpenCV; set data.blur_models to a folder with one")

    def find_regions(self, image: NDArray[np.uint8]) -> list[Region]:
        """Return the regions of the objects found."""
        shrink = max(1.0, max(image.shape) / SEARCHED_SIDE)
        size = (max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink)))
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        found = np.reshape(self._cascade.detectMultiScale(small, scaleFactor=1.1, minNeighbors=3), (-1, 4)) * shrink
        return [(int(x), int(y), int(x + width), int(y + height)) for x, y, width, height in found]


def load_anonymisers(data: DataConfig) -> tuple[Anonymiser, ...]:
    """Load what `data.blur` names, once per process.

    :raises ContractViolationError: a model file or a class is not there.
    """
    return _load_all(data.blur, data.blur_models)


def blur_regions(image: Image.Image, data: DataConfig) -> Image.Image:
    """Return an RGB image with every region found blurred; the image itself where nothing was found."""
    pixels = np.asarray(image)
    regions = [region for anonymiser in load_anonymisers(data) for region in anonymiser.find_regions(pixels)]
    blurred = image.copy() if regions else image
    for region in regions:
        _blur(blurred, region)
    return blurred


def _blur(image: Image.Image, region: Region) -> None:
    left, top, right, bottom = region
    wide, high = round((right - left) * MARGIN), round((bottom - top) * MARGIN)
    box = (max(0, left - wide), max(0, top - high), min(image.width, right + wide), min(image.height, bottom + high))
    if box[0] < box[2] and box[1] < box[3]:
        part = image.crop(box)
        cells = part.resize((CELLS, CELLS), Image.Resampling.BOX)
        image.paste(cells.resize(part.size, Image.Resampling.BILINEAR), box)


@lru_cache(maxsize=8)
def _load_all(names: tuple[str, ...], models: str) -> tuple[Anonymiser, ...]:
    return tuple(_load(name, models) for name in names)


def _load(name: str, models: str) -> Anonymiser:
    if name in CASCADES:
        return CascadeAnonymiser(Path(models or cv2.data.haarcascades) / CASCADES[name])
    module, _, class_name = name.partition(":")
    try:
        made: Anonymiser = getattr(import_module(module), class_name)(models)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(CASCADES)
        raise ContractViolationError(f"data.blur: no {name!r}: {error}; use {known} or `module:Class`") from error
    return made
