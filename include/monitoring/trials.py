"""Faults tried on known images: how much of the difference that is seen would each make, and what would it cost?"""

import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from include.monitoring.causes import Explanation
from include.monitoring.faults import Fault, damage, list_faults, order_faults
from include.monitoring.observations import Known, Lens, Sample
from include.monitoring.shift import Shift

Values = NDArray[np.float64]
Parts = tuple[Fault, ...]
Scored = tuple[Parts, float]

# A second or third fault has to explain that much more.
WORTH = 0.05
MOST_FAULTS = 3
# Images that every fault is tried on; the kinds, and which parts of their steps, that are looked at more closely; the
# faults that are tried on all images.
FEW, CLOSER, FINER, BEST = 16, 6, (0.5, 0.25), 3


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
        return share * (1 + affected) / 2, affected, damaged


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
        scored = self._score(self._few, [(*parts, one) for one in singles])
        by_kind = {tried[-1].kind: (tried, score) for tried, score in sorted(scored, key=_by_score)}
        closer = [self._refine(one) for one in sorted(by_kind.values(), key=_by_score)[-CLOSER:]]
        chosen = [tried for tried, _ in sorted(closer, key=_by_score)[-BEST:]]
        return max(self._score(self._all, chosen), key=_by_score, default=None)

    def _refine(self, best: Scored) -> Scored:
        for part in FINER:
            (*parts, last), _ = best
            finer = self._score(self._few, [(*parts, one) for one in last.finer(part)])
            best = max([best, *finer], key=_by_score)
        return best

    def _score(self, bench: Bench, tried: Iterable[Parts]) -> list[Scored]:
        return [(parts, bench.score(parts)[0]) for parts in tried if time.monotonic() < self._until]

    def _describe(self, parts: Parts) -> Explanation:
        outward = order_faults(parts)
        name = ", ".join(part.name for part in outward)
        share, affected, damaged = self._all.score(parts)
        right = float((damaged.answers == self._all.labels).mean())
        evidence = (
            f"{name}: done to {len(damaged)} known images, it makes {share:.0%} of the difference; the model then gets "
            f"{right:.0%} of them right"
        )
        accuracy = self._certified * (1 - affected) + min(right, self._certified) * affected
        return Explanation(outward[0].kind.cause, name, share, evidence, accuracy, self._certified)


def _by_score(one: Scored) -> float:
    return one[1]
