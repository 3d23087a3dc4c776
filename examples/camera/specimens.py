"""The 1,797 real handwritten digits that scikit-learn ships, divided once between arrivals and live traffic.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998).
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPECIMENS = 1797
ARRIVALS = 1000

_shuffled = [int(index) for index in np.random.default_rng(2026).permutation(SPECIMENS)]
ARRIVAL_SPECIMENS = tuple(_shuffled[:ARRIVALS])
LIVE_SPECIMENS = tuple(_shuffled[ARRIVALS:])


def read_specimen(specimen: int) -> NDArray[np.float64]:
    """Return the ink of a specimen, [8, 8], 0 to 16."""
    ink: NDArray[np.float64] = _load().images[specimen]
    return ink


def true_label(specimen: int) -> str:
    """Return the digit a specimen shows."""
    return str(_load().target[specimen])


@cache
def _load() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()
