"""Causes tried one by one: how much of what is seen would each explain, and what would it cost?"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from include.contracts import Cause
from include.monitoring.faults import Fault, damage, list_faults, order_faults
from include.monitoring.label_shift import adjust, estimate_priors
from include.monitoring.observations import Known, Lens, Sample
from include.monitoring.shift import Shift

Values = NDArray[np.float64]
Parts = tuple[Fault, ...]
Scored = tuple[Parts, float]

# A second or third fault has to explain that much more.
WORTH = 0.05
MOST_FAULTS = 3
# Kinds whose degree is looked for more closely, and by which parts of the step between those that are tried.
CLOSER, FINER = 4, (0.5, 0.25)
# A window row is new where this much of what lies around it is of the window.
NEW = 0.9
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


class Trial:
    """Faults tried on known images, as long as there is time.

    :param certified: Accuracy on the reference.
    :param until: Of `time.monotonic`; afterwards nothing new is tried.
    """

    def __init__(self, shift: Shift, lens: Lens, known: Known, certified: float, until: float) -> None:
        self._shift = shift
        self._lens = lens
        self._known = known
        self._certified = certified
        self._until = until
        self._clean = lens.observe(known.images)
        self._places = shift.place(self._clean)

    def explain(self, special: Sequence[Fault] = ()) -> Explanation | None:
        """Return the fault, or the few of them together, that explains most; None where there was no time.

        :param special: To try besides those that cameras are known for.
        """
        singles = [*special, *list_faults()]
        best = self._add((), singles)
        while best and len(best[0]) < MOST_FAULTS:
            kinds = {part.kind for part in best[0]}
            more = self._add(best[0], [one for one in singles if one.kind not in kinds])
            if more is None or more[1] < best[1] + WORTH:
                break
            best = more
        return self._describe(best[0]) if best else None

    def _add(self, parts: Parts, singles: Sequence[Fault]) -> Scored | None:
        """Add the fault that explains most, after a closer look at the degrees of the best few kinds."""
        scored = self._score_all([(*parts, one) for one in singles])
        by_kind = {tried[-1].kind: (tried, score) for tried, score in sorted(scored, key=_by_score)}
        closer = [self._refine(one) for one in sorted(by_kind.values(), key=_by_score)[-CLOSER:]]
        return max(closer, key=_by_score, default=None)

    def _refine(self, best: Scored) -> Scored:
        for part in FINER:
            (*parts, last), _ = best
            best = max([best, *self._score_all([(*parts, one) for one in last.finer(part)])], key=_by_score)
        return best

    def _score_all(self, tried: Iterable[Parts]) -> list[Scored]:
        return [(parts, self._score(parts)[0]) for parts in tried if time.monotonic() < self._until]

    def _score(self, parts: Parts) -> tuple[float, float, Sample]:
        damaged = self._lens.observe(damage(self._known.images, parts))
        # Both sides of the difference are of the same images, so that it does not matter which these are.
        expected = (self._shift.place(damaged) - self._places).mean(axis=0)
        return *self._shift.explain(expected), damaged

    def _describe(self, parts: Parts) -> Explanation:
        outward = order_faults(parts)
        name = ", ".join(part.name for part in outward)
        share, affected, damaged = self._score(parts)
        right = damaged.answers == (self._clean.answers if (self._known.labels < 0).any() else self._known.labels)
        accuracy = self._certified * (1 - affected) + min(float(right.mean()), self._certified) * affected
        evidence = (
            f"{name}: tried on {len(right)} known images, it makes {share:.0%} of the difference; "
            f"the model then gets {right.mean():.0%} of them right"
        )
        return Explanation(outward[0].kind.cause, name, share, evidence, accuracy, self._certified)


def explain_by_priors(shift: Shift, classes: Sequence[str]) -> Explanation:
    """Say how much is explained by the same kinds of images in other proportions."""
    counts = np.bincount(shift.labels, minlength=len(classes))
    known = (counts + 1) / (counts + 1).sum()
    priors = estimate_priors(shift.window.probabilities, known)
    ratios = priors / known
    weights = ratios[shift.labels]
    share, _ = shift.explain(shift.reweigh(weights))
    plain = shift.reference.answers == shift.labels
    adjusted = adjust(shift.reference.probabilities, ratios).argmax(axis=1) == shift.labels
    moved = [name for name, ratio in zip(classes, ratios, strict=True) if not 1 / MOVED < ratio < MOVED]
    said = ", ".join(f"{name} {priors[classes.index(name)]:.0%} (was {known[classes.index(name)]:.0%})" for name in moved)
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
    new = shift.novelty() >= NEW
    portion = float(new.mean())
    share = shift.without(new) * (1 - portion) if new.sum() >= FEWEST_NEW and portion <= MOST_NEW else 0.0
    evidence = f"{new.sum()} of {len(new)} images lie where the reference has none; without them {shift.without(new):.0%} of the difference is gone"
    return Explanation("new_class", "new class", share, evidence, certified * (1 - portion), certified)


def _by_score(one: Scored) -> float:
    return one[1]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" and others" if len(names) > 4 else "")
