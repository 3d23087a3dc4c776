"""Ask a trained model what is left of its accuracy when a cue is taken out of the images."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from include.contracts.learning import CueRemovalReport
from include.errors import DataQualityError
from include.vision.networks import Classifier

# Shares of the shorter side.
BORDER, CORNER = 1 / 12, 1 / 6
MAX_IMAGES = 500
# Larger images are reduced first: filling in what was removed takes time with every pixel.
SIDE = 256
RADIUS = 3
# Less is noise, or the price of having images altered at all.
LEAST_DROP = 0.05
ALPHA = 0.01

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]


def measure_without_cues(
    classifier: Classifier, images: Sequence[Pixels], targets: Sequence[int]
) -> tuple[CueRemovalReport, ...]:
    """Measure a model on images without border, without corners and without colour.

    Beside each stands a control: as many pixels removed where the cue is not, or colour kept. A model leans on a cue
    where its removal costs more than the control: McNemar, "Note on the sampling error of the difference between
    correlated proportions" (1947), exact, one-sided.

    :param images: uint8 RGB [H, W, 3] of any sizes; at most the first `MAX_IMAGES` are examined.
    :param targets: Place of each image's class among the outputs of the model.
    :raises DataQualityError: no images.
    """
    if not len(images):
        raise DataQualityError("no test image to take a cue out of; ingest labelled images of every class")
    shown = [_reduce(image) for image in images[:MAX_IMAGES]]
    true = np.asarray(targets[:MAX_IMAGES])

    def answer(change: Change) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = (
            classifier.predict_probabilities([change(one) for one in shown]).argmax(axis=1) == true
        )
        return right

    whole = answer(lambda image: image)
    return tuple(_compare(cue, whole, answer(removed), answer(control)) for cue, (removed, control) in REMOVALS.items())


def _compare(
    cue: str, whole: NDArray[np.bool_], removed: NDArray[np.bool_], control: NDArray[np.bool_]
) -> CueRemovalReport:
    lost, won = int((control & ~removed).sum()), int((removed & ~control).sum())
    p_value = binomtest(lost, lost + won, alternative="greater").pvalue if lost + won else 1.0
    corrected = min(1.0, float(p_value) * len(REMOVALS))
    excess = float(control.mean() - removed.mean())
    return CueRemovalReport(
        cue=cue,
        images=len(whole),
        accuracy=float(removed.mean()),
        drop=float(whole.mean() - removed.mean()),
        control_drop=float(whole.mean() - control.mean()),
        p_value=corrected,
        suspicious=corrected <= ALPHA and excess >= LEAST_DROP,
    )


def _reduce(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _fill(image: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """Fill pixels in from those around them (Telea, 2004)."""
    if mask.all():
        return image
    return np.asarray(cv2.inpaint(image, mask.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA), dtype=np.uint8)


def _frame(image: Pixels, depth: int) -> NDArray[np.bool_]:
    """Mark a frame as wide as the border, `depth` of its widths inside the image."""
    width = max(1, round(min(image.shape[:2]) * BORDER))
    outer, inner = np.zeros(image.shape[:2], bool), np.zeros(image.shape[:2], bool)
    rows, columns = image.shape[:2]
    for marked, start in ((outer, depth * width), (inner, (depth + 1) * width)):
        marked[start : max(start, rows - start), start : max(start, columns - start)] = True
    return np.asarray(outer & ~inner)


def _squares(image: Pixels, corners: bool) -> NDArray[np.bool_]:
    """Mark a square in each corner, or as many of the same size around the middle."""
    rows, columns = image.shape[:2]
    side = max(1, round(min(rows, columns) * CORNER))
    marked = np.zeros((rows, columns), bool)
    for down in (0, rows - side) if corners else (max(0, rows // 2 - side), rows // 2):
        for across in (0, columns - side) if corners else (max(0, columns // 2 - side), columns // 2):
            marked[down : down + side, across : across + side] = True
    return marked


def _grey(image: Pixels) -> Pixels:
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.repeat(np.asarray(luma, dtype=np.uint8)[..., np.newaxis], 3, axis=2)


REMOVALS: dict[str, tuple[Change, Change]] = {
    "border": (lambda image: _fill(image, _frame(image, 0)), lambda image: _fill(image, _frame(image, 1))),
    "corners": (lambda image: _fill(image, _squares(image, True)), lambda image: _fill(image, _squares(image, False))),
    "colour": (_grey, lambda image: image),
}
