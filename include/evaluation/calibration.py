"""Does a model that says 90 % turn out right nine times in ten?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of equal width by how sure the model was: 15 of each.

    :ivar images: Answers of each bin.
    :ivar confidence: Their mean confidence; 0 in an empty bin.
    :ivar accuracy: Share of them that is right; 0 in an empty bin.
    """

    images: NDArray[np.int64]
    confidence: Values
    accuracy: Values

    @property
    def error(self) -> float:
        """Expected calibration error: the gap between confidence and accuracy, averaged over the answers.

        Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning" (AAAI 2015).
        """
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.images))


def bin_confidence(confidence: Values) -> NDArray[np.int64]:
    """Return the bin, 0 to 14, of each confidence [N]; a bin holds its upper end, as in the paper."""
    return np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)


def measure_reliability(confidence: Values, right: NDArray[np.bool_]) -> Reliability:
    """Hold how sure a model was of its answers [N] against whether they were right [N].

    :raises ValueError: there are no answers.
    """
    if not len(confidence):
        raise ValueError("no answers, so nothing is known about how sure to be of them")
    bins = bin_confidence(confidence)
    images = np.bincount(bins, minlength=CALIBRATION_BINS)
    divisor = np.maximum(images, 1)
    return Reliability(
        images=images,
        confidence=np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS) / divisor,
        accuracy=np.bincount(bins, weights=right, minlength=CALIBRATION_BINS) / divisor,
    )
