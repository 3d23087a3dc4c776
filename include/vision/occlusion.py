"""Occlusion: what of an image an answer rests on, from the graph alone."""

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from include.vision.releases import run_graph

# Along each side; neighbours overlap by half, so that there are about four times as many windows as this squared.
WINDOWS = 6
BATCH_BYTES = 8 * 2**20
MAX_BATCH = 16
# Larger images would cost seconds a window, and show no more.
MAX_SIDE = 512
# Smaller images are magnified for the eye.
SHOWN_SIDE = 256
OPACITY = 0.7
FOR, AGAINST = (np.array([255.0, 0, 0]), np.array([0, 0, 255.0]))


class Occlusion(NamedTuple):
    """How a probability changes while windows of an image are covered."""

    probability: float
    window: tuple[int, int]
    rows: list[int]
    columns: list[int]
    drops: NDArray[np.float32]  # [rows, columns]


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale an image, uint8 [H, W, 3], down to at most 512 pixels a side; a smaller one stays as it is."""
    if max(image.shape) <= MAX_SIDE:
        return image
    shrunk = Image.fromarray(image)
    shrunk.thumbnail((MAX_SIDE, MAX_SIDE))
    return np.asarray(shrunk)


def measure_occlusion(graph: onnxruntime.InferenceSession, image: NDArray[np.uint8], answer: int) -> Occlusion:
    """Cover one window of an image after the other with its mean colour, and measure what that costs an answer.

    Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2.

    :param image: uint8 [H, W, 3].
    :param answer: Index of the class.
    """
    window = (-(-image.shape[0] // WINDOWS), -(-image.shape[1] // WINDOWS))
    rows, columns = (_place(side, one) for side, one in zip(image.shape[:2], window, strict=True))
    probability = float(run_graph(graph, image[None])[0, answer])
    places = [(top, left) for top in rows for left in columns]
    covered = [run_graph(graph, batch)[:, answer] for batch in _cover(image, window, places)]
    drops = probability - np.concatenate(covered).reshape(len(rows), len(columns))
    return Occlusion(probability, window, rows, columns, drops)


def draw_overlay(image: NDArray[np.uint8], found: Occlusion) -> bytes:
    """Draw what speaks for an answer in red over its image, and in blue what speaks against it, as PNG."""
    strength = _spread(image.shape[:2], found)
    strength /= max(float(np.abs(strength).max()), 1e-6)
    opacity = (np.abs(strength) * OPACITY)[..., None]
    colour = np.where(strength[..., None] > 0, FOR, AGAINST)
    grey = image.mean(axis=2, keepdims=True)
    painted = Image.fromarray((grey * (1 - opacity) + colour * opacity).astype(np.uint8))
    scale = max(1, SHOWN_SIDE // max(painted.size))
    buffer = io.BytesIO()
    painted.resize((painted.width * scale, painted.height * scale), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def _place(side: int, window: int) -> list[int]:
    """Place windows from edge to edge, each half over the one before."""
    return sorted({*range(0, side - window, max(1, window // 2)), side - window})


def _cover(
    image: NDArray[np.uint8], window: tuple[int, int], places: Sequence[tuple[int, int]]
) -> Iterator[NDArray[np.uint8]]:
    """Yield batches of the image, uint8 [N, H, W, 3], each with one window covered."""
    colour = image.mean(axis=(0, 1)).astype(np.uint8)
    size = max(1, min(MAX_BATCH, BATCH_BYTES // image.nbytes))
    for start in range(0, len(places), size):
        chosen = places[start : start + size]
        batch = np.repeat(image[None], len(chosen), axis=0)
        for covered, (top, left) in zip(batch, chosen, strict=True):
            covered[top : top + window[0], left : left + window[1]] = colour
        yield batch


def _spread(shape: tuple[int, ...], found: Occlusion) -> NDArray[np.float64]:
    """Give every pixel the mean drop of the windows over it, float [H, W]."""
    total, windows = np.zeros(shape), np.zeros(shape)
    for row, top in enumerate(found.rows):
        for column, left in enumerate(found.columns):
            place = np.s_[top : top + found.window[0], left : left + found.window[1]]
            total[place] += found.drops[row, column]
            windows[place] += 1
    return total / windows
