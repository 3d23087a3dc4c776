"""Image statistics: what a camera's trouble changes before anybody knows a label."""

import math

import numpy as np
from numpy.typing import NDArray

RED, GREEN, BLUE = 0.299, 0.587, 0.114
GREY = np.array([RED, GREEN, BLUE], dtype=np.float32)
WHITE = 255.0
# Of Immerkær's mask: the mean of its absolute answer to white noise of deviation 1.
NOISE_GAIN = 6 / math.sqrt(math.pi / 2)
# Enough of a large image to tell the noise, and the saturation: lines, and the side of a grid.
LINES = 128
GRID = 32


def image_statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    """Describe one image by the numbers of `include.predictions.STATISTICS`.

    Brightness (mean) and contrast (standard deviation) of the ITU-R BT.601 luma, and the means of red, green and blue,
    lie in 0-1, as does saturation: the mean of (max - min) / max over the channels. Sharpness is the variance of the
    luma's 4-neighbour Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000);
    noise is the standard deviation of white noise in the luma (Immerkær, "Fast noise variance estimation", Computer
    Vision and Image Understanding 64, 1996), in units of white; both are 0 where the image is smaller than 3 x 3
    pixels. Entropy of the luma's 256-bin histogram is in bits, 0-8.

    :param image: uint8 RGB, [height, width, 3].
    :raises ValueError: another shape or type, or no pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image is {image.dtype} {list(image.shape)}; expected uint8 [height, width, 3]")
    luma, (red, green, blue) = _split(image)
    entropy = _entropy(luma)
    brightness = RED * red + GREEN * green + BLUE * blue
    # Squares of what lies around zero keep their digits in float32.
    luma -= np.float32(brightness * WHITE)
    sharpness, noise = _sharpness_and_noise(luma)
    return {
        "brightness": brightness,
        "contrast": math.sqrt(_mean_square(luma)) / WHITE,
        "sharpness": sharpness / WHITE**2,
        "noise": noise / WHITE,
        "saturation": _saturation(image),
        "red": red,
        "green": green,
        "blue": blue,
        "entropy": entropy,
        "width": float(image.shape[1]),
        "height": float(image.shape[0]),
    }


def _split(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[float]]:
    """Return the luma [height, width] in 0-255, and the mean of each channel in 0-1."""
    colours = image.astype(np.float32)
    means: list[float] = (colours.sum(axis=0).sum(axis=0) / (WHITE * colours.size / 3)).tolist()
    return colours @ GREY, means


def _entropy(luma: NDArray[np.float32]) -> float:
    counts = np.bincount(np.rint(luma).astype(np.uint8).ravel())
    counts = counts[counts > 0]
    return max(0.0, math.log2(luma.size) - float(counts @ np.log2(counts)) / luma.size)


def _mean_square(values: NDArray[np.float32]) -> float:
    flat = values.ravel()
    return float(flat @ flat) / flat.size


def _sharpness_and_noise(luma: NDArray[np.float32]) -> tuple[float, float]:
    if min(luma.shape) < 3:
        return 0.0, 0.0
    centre = luma[1:-1]
    laplacian = centre[:, :-2] + centre[:, 2:]
    laplacian += luma[:-2, 1:-1]
    laplacian += luma[2:, 1:-1]
    laplacian -= 4 * centre[:, 1:-1]
    mean = float(laplacian.sum()) / laplacian.size
    step = max(1, len(luma) // LINES)
    curvature = luma[:-2:step] + luma[2::step]
    curvature -= 2 * centre[::step]
    twist = curvature[:, :-2] + curvature[:, 2:]
    twist -= 2 * curvature[:, 1:-1]
    noise = float(np.abs(twist, out=twist).sum()) / twist.size / NOISE_GAIN
    return max(0.0, _mean_square(laplacian) - mean * mean), noise


def _saturation(image: NDArray[np.uint8]) -> float:
    step = max(1, min(image.shape[:2]) // GRID)
    red, green, blue = image[::step, ::step].transpose(2, 0, 1)
    most = np.maximum(np.maximum(red, green), blue)
    spread = most - np.minimum(np.minimum(red, green), blue)
    shares: NDArray[np.float32] = np.divide(spread, np.maximum(most, 1), dtype=np.float32)
    return float(shares.sum()) / shares.size
