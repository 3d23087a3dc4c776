"""Damage images as cameras, networks and weather do, by kind and severity.

Kinds after Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations"
(ICLR 2019), with severities that also leave something to see in images of 32 pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from include.storage import digest_bytes

Image = NDArray[np.uint8]
SEVERITIES = (1, 2, 3)
WHITE = 255.0


def corrupt(image: Image, kind: str, severity: int) -> Image:
    """Damage one image, uint8 RGB [H, W, 3]; the same image is damaged the same way every time.

    :param kind: One of `CORRUPTIONS`.
    :param severity: 1, 2 or 3.
    """
    levels, damage = CORRUPTIONS[kind]
    return damage(image, levels[severity - 1])


def _add_noise(image: Image, sigma: float) -> Image:
    # Seeded by what is shown: champion and candidate see the same noise, whatever stands beside the image.
    seed = int(digest_bytes(image.tobytes()).removeprefix("sha256:")[:16], 16)
    noise = np.random.default_rng(seed).normal(0.0, sigma * WHITE, image.shape)
    return _round(image + noise)


def _blur(image: Image, sigma: float) -> Image:
    """Blur by a share of the shorter side, so that severities mean the same at every size."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * min(image.shape[:2])), dtype=np.uint8)


def _flatten(image: Image, factor: float) -> Image:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return _round(mean + (image - mean) * factor)


def _compress(image: Image, quality: float) -> Image:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)


def brighten(image: Image, by: float) -> Image:
    """Add a share of white; a negative one darkens."""
    return _round(image + by * WHITE)


def _round(pixels: NDArray[np.floating[Any]]) -> Image:
    return np.asarray(np.clip(np.rint(pixels), 0, WHITE), dtype=np.uint8)


CORRUPTIONS: Mapping[str, tuple[Sequence[float], Callable[[Image, float], Image]]] = MappingProxyType(
    {
        "noise": ((0.04, 0.08, 0.16), _add_noise),
        "blur": ((1 / 64, 1 / 32, 1 / 16), _blur),
        "contrast": ((0.6, 0.4, 0.2), _flatten),
        "jpeg": ((50, 25, 10), _compress),
        "brightness": ((0.1, 0.2, 0.3), brighten),
    }
)
