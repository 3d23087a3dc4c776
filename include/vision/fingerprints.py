"""Fingerprint images: a perceptual hash, a small embedding and statistics of light, all of one reduced image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
EMBEDDING = 256
EDGES = (SIDE - 2) ** 2 // 2
# Images at once: what they need stays in the processor's cache.
CHUNK = 16
# Below this a frequency is rounding, and the hash of a plain image would be noise.
FAINTEST = np.float32(1e-3)
# Of a large image every so many pixels are read, so that what this costs does not grow with it.
SAMPLED_SIDE = 4 * SIDE
WHITE = np.float32(255)
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32) / WHITE
# DCT-II of 32 values, the 8 lowest frequencies: [8, 32].
FREQUENCIES = np.cos(np.pi / 64 * np.outer(np.arange(8), 2 * np.arange(32) + 1)).astype(np.float32)


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of N images, in their order."""

    phash: NDArray[np.int64]  # [N]
    embedding: NDArray[np.uint8]  # [N, 256]: luma of 16 x 16 cells
    brightness: NDArray[np.float32]  # [N]: mean luma, 0-1
    contrast: NDArray[np.float32]  # [N]: standard deviation of the luma
    saturation: NDArray[np.float32]  # [N]: mean of (max - min) / max over the channels, 0-1
    sharpness: NDArray[np.float32]  # [N]: variance of the luma's Laplacian


def reduce_image(image: Image.Image) -> NDArray[np.uint8]:
    """Reduce an RGB image to uint8 [64, 64, 3] by averaging, whatever its shape."""
    if max(image.size) > SAMPLED_SIDE:
        image = image.resize([min(side, SAMPLED_SIDE) for side in image.size], Image.Resampling.NEAREST)
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    # `np.asarray` takes the same way with several detours.
    return np.frombuffer(image.tobytes(), np.uint8).reshape(SIDE, SIDE, 3)


def fingerprint(images: Sequence[NDArray[np.uint8]]) -> Fingerprints:
    """Fingerprint RGB images, uint8 [H, W, 3] each; those that are not 64 x 64 are reduced to it first.

    The hash is after Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): the 8 x 8
    lowest frequencies of the DCT of 32 x 32 luma, each against their median. Luma is that of ITU-R BT.601;
    sharpness is after Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000).
    """
    pixels = np.empty((min(CHUNK, len(images)), SIDE**2, 3), np.uint8)
    luma = np.empty(pixels.shape[:2], np.float32)
    chunks = [images[start : start + CHUNK] for start in range(0, max(1, len(images)), CHUNK)]
    # Memory that the chunks share: the system fills what it hands out anew with zeros, page by page.
    parts = [_fingerprint(chunk, pixels[: len(chunk)], luma[: len(chunk)]) for chunk in chunks]
    return Fingerprints(*map(np.concatenate, zip(*parts, strict=True)))


def _fingerprint(
    images: Sequence[NDArray[np.uint8]], reduced: NDArray[np.uint8], flat: NDArray[np.float32]
) -> list[NDArray[Any]]:
    """Return the columns of `Fingerprints` in their order.

    :param reduced: Room for pixels, [N, 4096, 3].
    :param flat: Room for luma, [N, 4096].
    """
    for image, pixels, grey in zip(images, reduced, flat, strict=True):
        small = image if image.shape == (SIDE, SIDE, 3) else reduce_image(Image.fromarray(image))
        pixels[:] = small.reshape(-1, 3)
        # One by one: BLAS rounds a product of more rows differently, and equal images are to be equal in any company.
        np.matmul(pixels.astype(np.float32), GREY, out=grey)
    luma = flat.reshape(-1, SIDE, SIDE)
    cells = _halve(luma)
    brightness = flat.mean(axis=1)
    return [
        _hash(cells),
        np.rint(_halve(cells) * WHITE).astype(np.uint8).reshape(-1, EMBEDDING),
        brightness,
        np.sqrt(np.maximum(np.vecdot(flat, flat) / SIDE**2 - brightness**2, 0)),
        _saturate(reduced.reshape(-1, SIDE, SIDE, 3)),
        _sharpen(luma),
    ]


def _halve(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = luma[:, ::2] + luma[:, 1::2]
    halved: NDArray[np.float32] = (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return halved


def _hash(luma: NDArray[np.float32]) -> NDArray[np.int64]:
    low = (FREQUENCIES @ luma @ FREQUENCIES.T).reshape(-1, 64)
    bits = np.packbits(low > np.median(low, axis=1, keepdims=True) + FAINTEST, axis=1)
    return bits.view(">i8")[:, 0].astype(np.int64)


def _saturate(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    red, green, blue = np.moveaxis(images[:, 1::2, 1::2], 3, 0)
    most = np.maximum(np.maximum(red, green), blue)
    spread = most - np.minimum(np.minimum(red, green), blue)
    saturation: NDArray[np.float32] = np.divide(spread, np.maximum(most, 1), dtype=np.float32).mean(axis=(1, 2))
    return saturation


def _sharpen(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    # Of every other row: half the work, and an estimate as good.
    edges = luma[:, :-2:2, 1:-1] + luma[:, 2::2, 1:-1]
    edges += luma[:, 1:-1:2, :-2]
    edges += luma[:, 1:-1:2, 2:]
    edges -= 4 * luma[:, 1:-1:2, 1:-1]
    sharpness: NDArray[np.float32] = edges.reshape(len(luma), EDGES).var(axis=1)
    return sharpness
