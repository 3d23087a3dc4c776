"""Faults tried on known images: how much of the difference that is seen would each make, and what would it cost?"""

import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from include.monitoring.causes import Explanation
from include.monitoring.faults import Fault, damage, list_faults, list_pairs, order_faults
from include.monitoring.observations import Known, Lens, Sample
from include.monitoring.shift import Shift

Values = NDArray[np.float64]
Parts = tuple[Fault, ...]
Scored = tuple[Parts, float]

# A second or third fault has to explain that much more.
WORTH = 0.03
MOST_FAULTS = 3
# Images that every fault is tried on; how many faults are then tried on all images; how many of these are looked at
# more closely, at which parts of the steps between their degrees.
FEW, BEST, CLOSER, FINER = 24, 8, 2, (0.5, 0.25)


class Bench:
    """Known images, before and after something is done to them."""

    def __init__(self, shift: Shift, lens: Lens, known: Known) -> None:
        self._shift = shift
        self._lens = lens
        self._images = known.images
        clean = lens.observe(known.images)
        self._places = shift.place(clean)
        self.labels = np.where(known.labels < 0, clean.answers, known.labels)

    def score(self, parts: Parts) -> tuple[float, float, Sample]:
        """Return what faults explain, less where they are true of a part of the images only; that part; the answers."""
        damaged = self._lens.observe(damage(self._images, parts))
        # Both sides of the difference are of the same images, so that it does not matter which these are.
        made = self._shift.place(damaged) - self._places
        share, affected = self._shift.explain(made.mean(axis=0), float(made.var(axis=0).sum()) / len(made))
        return share * (1 + 2 * affected) / 3, affected, damaged


class Trial:
    """Faults tried, first on few images and then the best of them on all, as long as there is time.

    :param certified: Accuracy on the reference.
    :param until: Of `time.monotonic`; afterwards nothing new is tried.
    """

    def __init__(self, shift: Shift, lens: Lens, known: Known, certified: float, until: float) -> None:
        step = max(1, len(known.images) // FEW)
        self._few = Bench(shift, lens, Known(known.images[::step], known.labels[::step]))
        self._all = Bench(shift, lens, known)
        self._certified = certified
        self._until = until

    def explain(self, special: Sequence[Fault] = ()) -> Explanation | None:
        """Return the fault, or the few of them together, that explains most; None where there was no time.

        :param special: To try besides those that cameras are known for.
        """
        singles = [*special, *list_faults()]
        best = self._find([(one,) for one in singles], None)
        # Of a lens that hangs loose, neither the blur nor the angle explains much alone.
        best = self._find(list_pairs(), best)
        while best and len(best[0]) < MOST_FAULTS:
            kinds = {part.kind for part in best[0]}
            more = self._find([(*best[0], one) for one in singles if one.kind not in kinds], best)
            if more is best:
                break
            best = more
        return self._describe(best[0]) if best else None

    def _find(self, tried: Iterable[Parts], before: Scored | None) -> Scored | None:
        """Return what explains most, after a closer look at the best few; what was before, unless that is better."""
        rough = sorted(self._score(self._few, tried), key=_by_score)
        good = sorted(self._score(self._all, (parts for parts, _ in rough[-BEST:])), key=_by_score)
        best = max((self._refine(one) for one in good[-CLOSER:]), key=_by_score, default=None)
        return best if best and (before is None or best[1] >= before[1] + WORTH) else before

    def _refine(self, best: Scored) -> Scored:
        """Look for the degrees between those that are tried."""
        for step in FINER:
            for place, part in enumerate(best[0]):
                parts = best[0]
                finer = [(*parts[:place], one, *parts[place + 1 :]) for one in part.finer(step)]
                best = max([best, *self._score(self._all, finer)], key=_by_score)
        return best

    def _score(self, bench: Bench, tried: Iterable[Parts]) -> list[Scored]:
        return [(parts, bench.score(parts)[0]) for parts in tried if time.monotonic() < self._until]

    def _describe(self, parts: Parts) -> Explanation:
        outward = order_faults(parts)
        name = ", ".join(part.name for part in outward)
        share, affected, damaged = self._all.score(parts)
        right = float((damaged.answers == self._all.labels).mean())
        evidence = (
            f"{name}: done to {len(damaged)} known images, it accounts for {share:.0%} of the difference; the model "
            f"then gets {right:.0%} of them right"
        )
        accuracy = self._certified * (1 - affected) + min(right, self._certified) * affected
        return Explanation(outward[0].kind.cause, name, share, evidence, accuracy, self._certified)


def _by_score(one: Scored) -> float:
    return one[1]
