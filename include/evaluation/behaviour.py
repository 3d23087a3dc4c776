"""Does a model keep its answer where nothing that matters has changed, and its accuracy on damaged images?"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from include.evaluation.corruption import CORRUPTIONS, SEVERITIES, brighten, corrupt

Image = NDArray[np.uint8]
Predict = Callable[[Sequence[Image]], NDArray[np.int64]]
Change = Callable[[Image], Image]

# Each image is asked about some twenty times; so many are enough to tell robustness within 0.04 (standard error).
SAMPLE = 128
STEP = 1 / 16


def measure_behaviour(
    predict: Predict, images: Sequence[Image], true: Sequence[int], *, flips: bool
) -> dict[str, float]:
    """Measure invariance and robustness on the first 128 images, a fair sample where they are in digest order.

    `invariance_<change>` is the share of images whose answer stays the same under every variant of a change that
    leaves the class alone (Ribeiro et al., "Beyond accuracy: behavioral testing of NLP models with CheckList", ACL
    2020): a tenth brighter or darker, a sixteenth of the side to each side, mirrored. `robustness_<kind>_<severity>`
    is the accuracy on images damaged by `include.evaluation.corruption`, and `robustness` the mean of these.

    :param predict: Index of the class of each image, uint8 RGB [H, W, 3].
    :param true: Index of the true class of each image.
    :param flips: Whether a mirrored image has the same class.
    """
    sample, expected = list(images[:SAMPLE]), np.asarray(true[:SAMPLE])
    usual = predict(sample)
    measures = {
        f"invariance_{name}": _share_unchanged(predict, sample, usual, changes)
        for name, changes in CHANGES.items()
        if flips or name != "flip"
    }
    damaged = {
        f"robustness_{kind}_{severity}": _accuracy(
            predict, [corrupt(image, kind, severity) for image in sample], expected
        )
        for kind in CORRUPTIONS
        for severity in SEVERITIES
    }
    return measures | damaged | {"robustness": float(np.mean(list(damaged.values())))}


def _share_unchanged(
    predict: Predict, sample: Sequence[Image], usual: NDArray[np.int64], changes: Sequence[Change]
) -> float:
    same = [predict([change(image) for image in sample]) == usual for change in changes]
    return float(np.all(same, axis=0).mean())


def _accuracy(predict: Predict, images: Sequence[Image], expected: NDArray[np.int64]) -> float:
    return float((predict(images) == expected).mean())


def _shift(down: int, right: int) -> Change:
    def change(image: Image) -> Image:
        rows, columns = (max(1, round(side * STEP)) for side in image.shape[:2])
        padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode="edge")
        top, left = rows * (1 - down), columns * (1 - right)
        return np.ascontiguousarray(padded[top : top + image.shape[0], left : left + image.shape[1]])

    return change


CHANGES: dict[str, Sequence[Change]] = {
    "brightness": [lambda image: brighten(image, -0.1), lambda image: brighten(image, 0.1)],
    "shift": [_shift(1, 0), _shift(-1, 0), _shift(0, 1), _shift(0, -1)],
    "flip": [lambda image: np.ascontiguousarray(image[:, ::-1])],
}
