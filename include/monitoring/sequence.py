"""The rule across windows: how often one looks does not change how often one is alarmed for nothing.

Evidence of one feature is R(t) = (R(t-1) + h) E, with E the window's e-value and h its length in hours: as if a bettor
with a fortune of 1 came in every hour, and all stayed (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric
framework for sequential change detection", New England Journal of Statistics in Data Science 2, 2024; after Shiryaev
and Roberts). In health the fortunes are in expectation no more than the hours, so that an alarm at L, after which all
leave, comes at most once in L hours in expectation, however many windows these are cut into. Weak evidence adds up,
strong evidence needs one window.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from include.contracts import DriftReport, ProfileReport
from include.monitoring.series import read_drift_series
from include.storage import Store

HOURS_PER_QUARTER = 365.25 * 24 / 4
# Evidence from before a longer silence is forgotten: that only makes alarms rarer.
MEMORY = timedelta(days=7)
# More would say no more to anybody, and infinity is no JSON.
CEILING = 1e12


@dataclass(frozen=True)
class History:
    """What earlier looks at the same release have left.

    :ivar evidence: Of each feature, since the last alarm.
    :ivar residue: Of each feature, what is left of the evidence that it last alarmed with.
    :ivar looks: Start and end of each window that was counted.
    :ivar latest: What the last of them found that has answers in common with this one.
    """

    evidence: Mapping[str, float] = field(default_factory=dict)
    looks: tuple[tuple[datetime, datetime], ...] = ()
    latest: DriftReport | None = None
    residue: Mapping[str, float] = field(default_factory=dict)

    def is_new(self, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Tell which answers no look has counted.

        :param times: In UTC, [N].
        """
        seen = np.zeros(len(times), dtype=bool)
        for look in self.looks:
            start, end = (np.datetime64(moment.replace(tzinfo=None), "us") for moment in look)
            seen |= (times >= start) & (times < end)
        return ~seen

    def hours_since(self, start: datetime, end: datetime) -> float:
        """Return how long a window is, without the time that an earlier one covers."""
        begin = max([start, *(moment for _, moment in self.looks)])
        return max(0.0, (end - begin).total_seconds() / 3600)


def read_history(store: Store, profile: ProfileReport) -> History:
    """Read what was recorded of windows of the same release that end before this one; they stay as they are."""
    reports = read_drift_series(store, profile.project, profile.start - MEMORY)
    earlier = [report for report in reports if _counts(report, profile)]
    earlier.sort(key=lambda report: (report.end, report.start))
    looks = tuple((report.start, report.end) for report in earlier)
    latest = next((report for report in reversed(earlier) if report.end > profile.start), None)
    features = earlier[-1].features if earlier else ()
    residue = {feature.feature: feature.residue for feature in features}
    if earlier and earlier[-1].verdict == "drift":
        return History({}, looks, latest, residue)
    return History({feature.feature: feature.evidence for feature in features}, looks, latest, residue)


def add_up(before: float, hours: float, log_e: float) -> float:
    """Return the evidence after a window."""
    stake = before + hours
    if stake <= 0:
        return 0.0
    wealth = math.log(stake) + log_e
    return CEILING if wealth >= math.log(CEILING) else math.exp(wealth)


def wear_off(residue: float, limit: float, log_e: float) -> float:
    """Return what a window leaves of the evidence of an alarm, which was the limit.

    Below 1, the windows since then speak for health as much as those before had to speak against it.
    """
    return min(limit, add_up(residue, 0.0, log_e))


def evidence_needed(features: int, false_alarms_per_quarter: float) -> float:
    """Return the evidence of one of several features at which all together keep the promise (Bonferroni)."""
    return features * HOURS_PER_QUARTER / false_alarms_per_quarter


def _counts(report: DriftReport, profile: ProfileReport) -> bool:
    return report.verdict != "insufficient" and report.release == profile.release and report.end < profile.end
