"""The area under the ROC curve of one class, for many resamples of the images at once."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """N images, ordered by the probability they are given of one class.

    :ivar order: Images from least to most probable [N].
    :ivar positive: Which of them, in that order, are of the class [N].
    :ivar starts: Where each run of equal probability begins [distinct].
    """

    order: NDArray[np.int64]
    positive: NDArray[np.bool_]
    starts: NDArray[np.int64]

    @classmethod
    def sort(cls, probabilities: Values, positive: NDArray[np.bool_]) -> Self:
        """Order images by probability [N]; `positive` tells which are of the class [N]."""
        order = np.argsort(probabilities, kind="stable")
        steps = np.diff(probabilities[order], prepend=-1.0) > 0
        return cls(order, positive[order], np.flatnonzero(steps))

    def measure(self, weights: Values) -> Values:
        """Return the area under the curve of each resample [B]; NaN where the class, or any other, is not there.

        It is the chance that an image of the class ranks above another, ties counting half: Mann and Whitney, "On a
        test of whether one of two random variables is stochastically larger than the other" (1947).

        :param weights: How often each image is in each resample [B, N].
        """
        # Images first: whole rows are gathered and added up, which is several times faster.
        ordered = np.ascontiguousarray(weights.T)[self.order]
        positive = np.add.reduceat(ordered * self.positive[:, np.newaxis], self.starts)
        negative = np.add.reduceat(ordered, self.starts) - positive
        above = np.einsum("nb,nb->b", positive, negative.cumsum(axis=0) - negative / 2)
        pairs = positive.sum(axis=0) * negative.sum(axis=0)
        areas: Values = np.divide(above, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
        return areas
