"""Image statistics: what a camera's trouble changes before anybody knows a label."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
WHITE = 255.0


def image_statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    """Describe one image by the numbers of `include.predictions.STATISTICS`.

    Brightness (mean) and contrast (standard deviation) of the ITU-R BT.601 luma lie in 0-1. Sharpness is the variance
    of its 4-neighbour Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000),
    and 0 where the image is smaller than 3 x 3 pixels. Entropy of the 256-bin histogram is in bits, 0-8.

    :param image: uint8 RGB, [height, width, 3].
    :raises ValueError: another shape or type, or no pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image is {image.dtype} {list(image.shape)}; expected uint8 [height, width, 3]")
    luma: NDArray[np.float32] = image.astype(np.float32) @ GREY
    brightness, variance = _moments(luma)
    return {
        "brightness": brightness / WHITE,
        "contrast": math.sqrt(variance) / WHITE,
        "sharpness": _sharpness(luma) / WHITE**2,
        "entropy": _entropy(luma),
        "width": float(image.shape[1]),
        "height": float(image.shape[0]),
    }


def _moments(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return mean and variance; in one pass, which float64 is wide enough for, as it runs for every request."""
    wide = values.ravel().astype(np.float64)
    mean = float(wide.mean())
    return mean, max(0.0, float(wide @ wide) / wide.size - mean * mean)


def _sharpness(luma: NDArray[np.float32]) -> float:
    if min(luma.shape) < 3:
        return 0.0
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1]
    laplacian += luma[1:-1, :-2]
    laplacian += luma[1:-1, 2:]
    laplacian -= 4 * luma[1:-1, 1:-1]
    return _moments(laplacian)[1]


def _entropy(luma: NDArray[np.float32]) -> float:
    counts = np.array(Image.fromarray(np.rint(luma).astype(np.uint8)).histogram())
    shares = counts[counts > 0] / luma.size
    return max(0.0, float(-(shares * np.log2(shares)).sum()))
