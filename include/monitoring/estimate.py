"""Accuracy as a release's own answers tell it, until labels come."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

CONFIDENCE_LEVEL = 0.95
# Above it, an image is odder than 99 in 100 of those that the release was certified on.
ODD = 1.0

Values = NDArray[np.float64]


class Reference(NamedTuple):
    """Answers whose truth is known: how sure they were [M], and whether they were right [M]."""

    confidence: Values
    right: NDArray[np.bool_]


class Estimate(NamedTuple):
    """An accuracy nobody measured, and the 95 % interval of it."""

    accuracy: float
    low: float
    high: float


def estimate_accuracy(reference: Reference, confidence: Values, ood: Values, classes: int) -> Estimate:
    """Estimate the accuracy of N answers from how sure they are, and how odd their images.

    Confidence is calibrated on answers of known truth (isotonic: Zadrozny and Elkan, KDD 2002) and averaged, as in
    confidence-based performance estimation. That holds for images like the certified ones only: networks are sure of
    what they have never seen. Of an image that is odder than those nothing is known: it counts as a guess among the
    classes, as wrong in the low end of the interval, and as right as it claims to be in the high end. The ends are as
    far off as N answers, and the reference, may err. Where labels mean something else than they did, no look at the
    images tells; the interval does not hold then.

    :param confidence: Largest probability of each answer [N], N >= 1.
    :param ood: Out-of-distribution score of each image [N]; 0 where there is none.
    """
    calibrated = _calibrate(reference, confidence)
    odd = ood > ODD
    guess = 1 / classes
    accuracy = float(np.where(odd, guess, calibrated).mean())
    margin = float(norm.ppf(0.5 + CONFIDENCE_LEVEL / 2)) * _err(reference, calibrated)
    low = float(np.where(odd, 0.0, calibrated).mean()) - margin
    high = float(np.where(odd, np.maximum(guess, calibrated), calibrated).mean()) + margin
    return Estimate(accuracy, max(0.0, low), min(1.0, high))


def _calibrate(reference: Reference, confidence: Values) -> Values:
    from sklearn.isotonic import IsotonicRegression

    found = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(reference.confidence, reference.right)
    calibrated: Values = found.predict(confidence)
    return calibrated


def _err(reference: Reference, calibrated: Values) -> float:
    """Return the standard error of the mean: of drawing these answers, and of drawing the reference.

    Where all were right, some error is left: two right and two wrong ones more (Agresti and Coull, The American
    Statistician 52, 1998).
    """
    images = len(reference.right) + 4
    share = (float(reference.right.sum()) + 2) / images
    drawn = float((calibrated * (1 - calibrated)).sum()) / len(calibrated) ** 2
    return float(np.sqrt(drawn + share * (1 - share) / images))
