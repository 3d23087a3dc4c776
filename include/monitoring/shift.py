"""How a window differs from the reference of its release, as one vector that hypotheses are held against."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from include.monitoring.kernel_means import KernelSpace, chance_of_shift, explained_share, noise_floor
from include.monitoring.observations import Sample, scaler

Values = NDArray[np.float64]

# Between counting blocks as they differ, 0, and all the same, 1/2: one that hardly differs would show nothing but how
# inexactly faults are tried.
BALANCE = 0.25
# What is farther than these shares of the reference may be new.
FAR = (0.9, 0.95, 0.98)


class Shift:
    """The difference between two samples.

    :param window: What was answered.
    :param reference: What the release was certified on.
    :param labels: Class of each reference image, [n].
    :param names: Of the image statistics.
    """

    def __init__(self, window: Sample, reference: Sample, labels: NDArray[np.int64], names: Sequence[str]) -> None:
        self.window = window
        self.reference = reference
        self.labels = labels
        self._scale = scaler(reference, names)
        self._blocks = (self._scale(window, False), self._scale(reference, True))
        self._space = KernelSpace(self._blocks[1])
        places = [self._space.place(blocks) for blocks in self._blocks]
        self._unweighted = [np.hsplit(place, len(self._blocks[0])) for place in places]
        self._weights = _balance(places[0], places[1], len(self._blocks[0]))
        self._places = (places[0] * self._weights, places[1] * self._weights)
        self.seen = self._places[0].mean(axis=0) - self._places[1].mean(axis=0)
        self._floor = noise_floor(*self._places)

    @cached_property
    def p_value(self) -> float:
        """Chance of as large a difference, in any block, between two samples of one world (Bonferroni)."""
        chances = [chance_of_shift(*pair) for pair in zip(*self._unweighted, strict=True)]
        return min(1.0, len(chances) * min(chances))

    def place(self, sample: Sample) -> Values:
        """Return the places of images of the reference after something was done to them, [n, d]."""
        return self._space.place(self._scale(sample, True)) * self._weights

    def explain(self, expected: Values, noise: float) -> tuple[float, float]:
        """Return which share of the difference a hypothesis explains, and of which share of the images it is true.

        :param expected: The difference that it makes to every image, [d].
        :param noise: Squared length that this has by chance.
        """
        return explained_share(self.seen, expected, self._floor, noise)

    def reweigh(self, ratios: Values) -> tuple[Values, float]:
        """Return the difference that it makes when classes come so many times as often, and its squared noise.

        :param ratios: Of each class, [classes].
        """
        places = self._places[1]
        weights = ratios[self.labels] / ratios[self.labels].sum()
        means = {label: places[self.labels == label].mean(axis=0) for label in np.unique(self.labels)}
        inside = sum(float(((places[row] - means[label]) ** 2).sum()) for row, label in enumerate(self.labels))
        noise = float(((weights - 1 / len(places)) ** 2).sum()) * inside / len(places)
        return weights @ places - places.mean(axis=0), noise

    def without(self, rows: NDArray[np.bool_]) -> float:
        """Return the share of the difference that goes with some rows of the window."""
        rest = self._places[0][~rows]
        if not len(rest):
            return 0.0
        left = rest.mean(axis=0) - self._places[1].mean(axis=0)
        whole = max(float(self.seen @ self.seen) - self._floor, 1e-12)
        remaining = max(float(left @ left) - noise_floor(rest, self._places[1]), 0)
        return float(np.clip(1 - remaining / whole, 0, 1))

    def find_new(self) -> tuple[NDArray[np.bool_], float]:
        """Return which window rows lie farther off than images of the reference do, and their share less chance."""
        window, reference = (blocks[-1][:, 0] for blocks in self._blocks)
        limits = np.quantile(reference, FAR)
        excess = [float((window > limit).mean() - (reference > limit).mean()) for limit in limits]
        best = int(np.argmax(excess))
        return window > limits[best], max(excess[best], 0.0)

    def witness(self) -> Values:
        """Return how typical of the difference each window row is, [n]: the witness function of the discrepancy."""
        return np.asarray(self._places[0] @ self.seen)


def _balance(window: Values, reference: Values, blocks: int) -> Values:
    """Return weights, [d], that make the difference in each block count the same, or less where it may be chance."""
    weights = []
    for first, second in zip(np.hsplit(window, blocks), np.hsplit(reference, blocks), strict=True):
        floor = noise_floor(first, second)
        length = float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
        weights.append(np.full(first.shape[1], max(length - floor, floor, 1e-12) ** -BALANCE))
    return np.concatenate(weights)
