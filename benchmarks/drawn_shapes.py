"""Ten shapes in colours of their own on coloured grounds, so that nothing but the shape tells the class."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
# Corners of a regular outline, and how far in every second one lies.
OUTLINES = ((60, 1.0), (3, 1.0), (4, 1.0), (5, 1.0), (6, 1.0), (8, 0.4), (10, 0.4), (14, 0.4), (12, 0.7), (4, 0.35))
# Subpixel bits of OpenCV's drawing.
SHIFT = 4


def draw_shapes(images: int, seed: int) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Draw shapes of any place, size and turn, uint8 RGB [32, 32, 3], with the number of each."""
    chance = np.random.default_rng([seed, SIDE])
    labels = chance.integers(len(OUTLINES), size=images).tolist()
    return [_draw(label, chance) for label in labels], labels


def _draw(label: int, chance: np.random.Generator) -> NDArray[np.uint8]:
    coarse = chance.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    corners, inset = OUTLINES[label]
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + chance.uniform(0, 2 * np.pi)
    radii = np.where(np.arange(corners) % 2, inset, 1.0) * chance.uniform(7, 12)
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None] + chance.uniform(11, 21, 2)
    colour = chance.integers(0, 256, 3).tolist()
    cv2.fillPoly(pixels, [np.round(outline * 2**SHIFT).astype(np.int32)], colour, cv2.LINE_AA, SHIFT)
    return np.clip(pixels + chance.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
