"""Where a sample lies among the distributions, as one vector: its mean in the space of a kernel.

The distance between two of them is the maximum mean discrepancy (Gretton et al., "A kernel two-sample test", JMLR
2012), with random Fourier features (Rahimi and Recht, "Random features for large-scale kernel machines", NIPS 2007).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

Values = NDArray[np.float64]

SEED = 11
FREQUENCIES = 200  # per block
# Widths of the kernels, as multiples of the median distance: a slight shift is seen by the narrow ones, a strong one by
# the wide ones.
WIDTHS = (1.0, 2.0, 4.0, 8.0)
MAX_ROWS = 500
PERMUTATIONS = 500


class KernelSpace:
    """The space that a reference spans.

    Blocks count the same, however many columns they have.

    :param reference: Blocks of columns, each [n, columns], scaled by whoever hands them over.
    """

    def __init__(self, reference: Sequence[Values]) -> None:
        chance = np.random.default_rng(SEED)
        self._frequencies: list[Values] = []
        for block in reference:
            distances = pdist(block[:MAX_ROWS])
            median = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
            widths = np.resize(WIDTHS, FREQUENCIES) * median
            self._frequencies.append(chance.normal(size=(block.shape[1], FREQUENCIES)) / widths)

    def place(self, blocks: Sequence[Values]) -> Values:
        """Return the place of each row, [n, 400 for each block], block after block."""
        places = []
        for block, drawn in zip(blocks, self._frequencies, strict=True):
            angles = block @ drawn
            places.append(np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(angles.shape[1]))
        return np.hstack(places)


def chance_of_shift(window: Values, reference: Values) -> float:
    """Return the p-value of a permutation test on the squared distance of two means.

    :param window: Places of its rows, [n, d]; likewise `reference`.
    """
    pooled = np.vstack([window, reference])
    chance = np.random.default_rng(SEED)
    members = np.zeros((PERMUTATIONS + 1, len(pooled)))
    members[0, : len(window)] = 1
    for row in members[1:]:
        row[chance.permutation(len(pooled))[: len(window)]] = 1
    inside = members @ pooled
    outside = pooled.sum(axis=0) - inside
    distances = ((inside / len(window) - outside / len(reference)) ** 2).sum(axis=1)
    return float((distances >= distances[0]).mean())


def noise_floor(*samples: Values) -> float:
    """Return the squared distance that means of samples of these sizes have by chance alone."""
    return float(sum(sample.var(axis=0).sum() / len(sample) for sample in samples))


def explained_share(seen: Values, expected: Values, floor: float, noise: float) -> tuple[float, float]:
    """Return how much of a shift seen another one explains, 0 to 1, and in which share of the images it happens.

    :param seen: Difference of two means, [d]; `expected` is that of a hypothesis on every image.
    :param floor: Squared length that `seen` has by chance; `noise`: likewise `expected`.
    """
    length = max(float(expected @ expected) - noise, 1e-12)
    share = float(np.clip(seen @ expected / length, 0, 1))
    rest = seen - share * expected
    left = max(float(rest @ rest) - floor - share**2 * noise, 0)
    whole = max(float(seen @ seen) - floor, 1e-12)
    return float(np.clip(1 - left / whole, 0, 1)), share
