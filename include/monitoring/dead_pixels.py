"""Pixels that show the same in every image, whatever is before the camera."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from include.monitoring.faults import Fault, mask

MIN_IMAGES = 8
# Grey levels: a pixel stands out from those around it, and hardly ever changes.
STANDS_OUT = 40
CHANGES = 6.0


def find_dead_pixels(images: Sequence[NDArray[np.uint8]], before: Sequence[NDArray[np.uint8]]) -> Fault | None:
    """Return the fault of the pixels that are stuck in these images, uint8 [H, W, 3], and were not before.

    None where there are none, or too few images of one size to tell.
    """
    shapes = {image.shape for image in images}
    if len(images) < MIN_IMAGES or len(shapes) > 1:
        return None
    stuck, values = _find_stuck(images)
    earlier = [image for image in before if image.shape in shapes]
    if len(earlier) >= MIN_IMAGES:
        stuck &= ~_find_stuck(earlier)[0]
    return mask(stuck, values) if stuck.any() else None


def _find_stuck(images: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    stack = np.stack(images)
    typical = np.median(stack, axis=0).astype(np.uint8)
    around = cv2.medianBlur(typical, 3).astype(np.int16)
    out = np.abs(typical - around).max(axis=2) >= STANDS_OUT
    # A quarter may differ: noise, and compression, reach dead pixels, too.
    spread = np.percentile(np.abs(stack.astype(np.int16) - typical).max(axis=3), 75, axis=0)
    return out & (spread <= CHANGES), typical
