"""Figures of an evaluation, and test images as a page shows them."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from include.evaluation.calibration import CALIBRATION_BINS, Reliability

SIDE = 96


def draw_confusion(matrix: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix: true classes down, predicted classes across, counts in the cells."""
    size = max(4.0, 0.45 * len(classes) + 2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=0 if max(map(len, classes)) < 4 else 90)
    axes.set_yticks(range(len(classes)), classes)
    return figure


def draw_reliability(reliability: Reliability, title: str) -> Figure:
    """Draw a reliability diagram: accuracy over confidence, and below it how many answers are that sure."""
    figure = Figure(figsize=(4.5, 5.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    filled = reliability.images > 0
    centres = (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    above.bar(centres[filled], reliability.accuracy[filled], width=0.9 / CALIBRATION_BINS, color="#4c7c9b")
    above.set(title=title, ylabel="accuracy", ylim=(0, 1), xlim=(0, 1))
    above.text(0.03, 0.92, f"calibration error {reliability.error:.3f}")
    below.bar(centres, reliability.images, width=0.9 / CALIBRATION_BINS, color="#97a9b6")
    below.set(xlabel="confidence", ylabel="answers")
    return figure


def embed_image(image: NDArray[np.uint8]) -> str:
    """Return an image, uint8 RGB [H, W, 3], as a data URI of at most 96 pixels a side."""
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    small = image if scale == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"
