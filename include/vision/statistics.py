"""Image statistics: what a camera's trouble changes before anybody knows a label."""

import numpy as np
from numpy.typing import NDArray

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


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
    scaled: NDArray[np.float32] = luma / np.float32(255)
    return {
        "brightness": float(scaled.mean(dtype=np.float64)),
        "contrast": float(scaled.std(dtype=np.float64)),
        "sharpness": _sharpness(scaled),
        "entropy": _entropy(luma),
        "width": float(image.shape[1]),
        "height": float(image.shape[0]),
    }


def _sharpness(luma: NDArray[np.float32]) -> float:
    if min(luma.shape) < 3:
        return 0.0
    neighbours = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((neighbours - 4 * luma[1:-1, 1:-1]).var(dtype=np.float64))


def _entropy(luma: NDArray[np.float32]) -> float:
    counts = np.bincount(np.rint(luma).astype(np.uint8).ravel(), minlength=256)
    shares = counts[counts > 0] / luma.size
    return max(0.0, float(-(shares * np.log2(shares)).sum()))
