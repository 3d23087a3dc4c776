"""Whether some images are served worse than others, and more so than when the release was certified."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from include.contracts import SlicePerformanceReport
from include.monitoring.detection import weigh_rise
from include.monitoring.labels import tell_hours, tell_right
from include.monitoring.sequence import HOURS_PER_QUARTER
from include.project import Project

# What is known of an image in service; where it came from is not.
KNOWN = ("class", "brightness", "size")
BANDS = 3
# Chance that a gap of the certified images was that much smaller by luck.
DOUBT = 1e-3
CONFIDENCE_LEVEL = 0.95

Names = NDArray[np.str_]
Right = NDArray[np.bool_]


class _Slice(NamedTuple):
    """One value of a slice: which answers belong to it."""

    name: str
    value: str
    known: Right  # [M], of the reference
    found: Right  # [N], of the labelled answers
    enough: int  # images of the reference that say anything


def measure_slices(project: Project, reference: pa.Table, labelled: pa.Table) -> tuple[SlicePerformanceReport, ...]:
    """Measure accuracy in every slice of labelled answers, the worst first, with Wilson's interval at 95 %."""
    right = tell_right(labelled)
    parts = [part for part in _cut(project, reference, labelled) if part.found.any()]
    return tuple(sorted((_measure(part, right) for part in parts), key=lambda one: one.accuracy))


def find_unfair(project: Project, reference: pa.Table, labelled: pa.Table) -> tuple[str, ...]:
    """Name the slices whose accuracy has fallen further behind the rest than `performance.max_gap` allows.

    Somebody bets, answer by answer in the order in which labels came, that the next one of the rest is right and the
    next one of the slice is wrong (Chugg et al., "Auditing fairness by betting", NeurIPS 2023), as in `weigh_rise`.
    The gap of the certified images is allowed, and as far as it may have been small by luck. All slices together raise
    as many false alarms as `false_alarms_per_quarter` at most.

    :param reference: Columns `predicted`, `label`, `brightness`, `width`, `height` of the certified images.
    :param labelled: As `read_labelled` returns.
    """
    known, right, hours = _tell_known(reference), tell_right(labelled), tell_hours(labelled)
    judged = []
    for part in _cut(project, reference, labelled):
        inside, outside = known[part.known], known[~part.known]
        if len(inside) >= part.enough and len(outside) >= part.enough and part.found.any() and not part.found.all():
            judged.append((part, _bound_gap(inside, outside, project.monitoring.performance.max_gap)))
    limit = HOURS_PER_QUARTER / project.monitoring.false_alarms_per_quarter * len(judged)
    return tuple(
        _describe(part, right, known) for part, bound in judged if _weigh_gap(part.found, right, hours, bound) >= limit
    )


def _weigh_gap(found: Right, right: Right, hours: NDArray[np.float64], bound: float) -> float:
    own, rest = np.flatnonzero(found), np.flatnonzero(~found)
    pairs = min(len(own), len(rest))
    own, rest = own[:pairs], rest[:pairs]
    gaps = right[rest].astype(float) - right[own]
    return weigh_rise((gaps + 1) / 2, (bound + 1) / 2, np.maximum(hours[own], hours[rest]))


def _bound_gap(inside: Right, outside: Right, allowed: float) -> float:
    """Return the largest gap that is no growth: of proportions with one right and one wrong answer more.

    Agresti and Caffo, The American Statistician 54, 2000.
    """
    gap = max(0.0, float(outside.mean() - inside.mean()))
    variance = sum(_vary(int(part.sum()), len(part)) for part in (inside, outside))
    return gap + max(allowed, float(norm.ppf(1 - DOUBT)) * math.sqrt(variance))


def _vary(right: int, images: int) -> float:
    share = (right + 1) / (images + 2)
    return share * (1 - share) / (images + 2)


def _measure(part: _Slice, right: Right) -> SlicePerformanceReport:
    chosen = right[part.found]
    interval = binomtest(int(chosen.sum()), len(chosen)).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return SlicePerformanceReport(
        slice=part.name,
        value=part.value,
        labelled=len(chosen),
        accuracy=float(chosen.mean()),
        low=interval.low,
        high=interval.high,
    )


def _describe(part: _Slice, right: Right, known: Right) -> str:
    own, rest = right[part.found], right[~part.found]
    before = float(known[~part.known].mean() - known[part.known].mean())
    return (
        f"{part.name} {part.value}: {own.mean():.0%} of {len(own)} right, {rest.mean():.0%} of the rest; "
        f"the gap was {before:+.0%} when certified"
    )


def _tell_known(reference: pa.Table) -> Right:
    return np.asarray(_column(reference, "predicted") == _column(reference, "label"))


def _cut(project: Project, reference: pa.Table, labelled: pa.Table) -> Iterator[_Slice]:
    for one in project.evaluation.slices:
        if one.by in KNOWN:
            known, found = _name_values(one.by, reference, labelled)
            for value in np.unique(known):
                yield _Slice(one.name, str(value), known == value, found == value, one.min_images)


def _name_values(by: str, reference: pa.Table, labelled: pa.Table) -> tuple[Names, Names]:
    """Say of each image which value of a slice it has; bands are thirds of the certified images."""
    if by == "class":
        return _column(reference, "label"), _column(labelled, "label")
    known, found = (_measure_images(by, table) for table in (reference, labelled))
    edges = np.unique(np.quantile(known, np.arange(1, BANDS) / BANDS))
    shown = [f"{edge:.3g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    names = np.array([f"up to {shown[0]}", *between, f"above {shown[-1]}"])
    return names[np.searchsorted(edges, known)], names[np.searchsorted(edges, found)]


def _measure_images(by: str, table: pa.Table) -> NDArray[np.float64]:
    if by == "brightness":
        return np.asarray(table["brightness"].to_numpy(), dtype=float)
    return np.asarray(np.sqrt(table["width"].to_numpy() * table["height"].to_numpy()), dtype=float)


def _column(table: pa.Table, name: str) -> Names:
    return np.array([str(value) for value in table[name].to_pylist()], dtype=str)
