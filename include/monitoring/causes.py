"""What the classes say of a drift: others than before, or in other proportions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from include.contracts import Cause
from include.monitoring.label_shift import adjust, estimate_priors
from include.monitoring.shift import Shift

Values = NDArray[np.float64]

# Where more than these are new, everything has changed.
MOST_NEW = 0.6
FEWEST_NEW = 5
MOVED = 1.5


@dataclass(frozen=True)
class Explanation:
    """What one cause says of the window.

    :ivar share: Of the difference that it explains, 0 to 1.
    :ivar accuracy: Of the model while it lasts; `attainable` with a model that answers it.
    """

    cause: Cause
    name: str
    share: float
    evidence: str
    accuracy: float
    attainable: float
    priors: dict[str, float] = field(default_factory=dict)


def explain_by_priors(shift: Shift, classes: Sequence[str]) -> Explanation:
    """Say how much is explained by the same kinds of images in other proportions."""
    counts = np.bincount(shift.labels, minlength=len(classes))
    known = (counts + 1) / (counts + 1).sum()
    priors = estimate_priors(shift.window.probabilities, known)
    ratios = priors / known
    weights = ratios[shift.labels]
    share, _ = shift.explain(*shift.reweigh(ratios))
    plain = shift.reference.answers == shift.labels
    adjusted = adjust(shift.reference.probabilities, ratios).argmax(axis=1) == shift.labels
    moved = [name for name, ratio in zip(classes, ratios, strict=True) if not 1 / MOVED < ratio < MOVED]
    said = ", ".join(
        f"{name} {priors[classes.index(name)]:.0%} (was {known[classes.index(name)]:.0%})" for name in moved
    )
    return Explanation(
        "class_prior",
        f"classes: {_list(moved)} more or less frequent" if moved else "classes: other shares",
        share,
        f"other shares of the classes make {share:.0%} of the difference: {said or 'none moved much'}",
        float(np.average(plain, weights=weights)),
        float(np.average(adjusted, weights=weights)),
        {name: float(prior) for name, prior in zip(classes, priors / priors.sum(), strict=True)},
    )


def explain_by_new_class(shift: Shift, certified: float) -> Explanation:
    """Say how much is explained by images of a kind that the reference does not hold, beside others as ever."""
    new, portion = shift.find_new()
    gone = shift.without(new)
    share = gone * (1 - portion / 2) if new.sum() >= FEWEST_NEW and portion <= MOST_NEW else 0.0
    evidence = (
        f"{portion:.0%} of the images lie farther from the reference than its own do; without them {gone:.0%} of the "
        "difference is gone"
    )
    return Explanation("new_class", "new class", share, evidence, certified * (1 - portion), certified)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" and others" if len(names) > 4 else "")
