"""Hold a project against its objectives: how much of each error budget is left, and how fast it burns."""

from datetime import datetime, timedelta

from include.contracts import Objective, ObjectiveReport, PerformanceReport
from include.ledger import Ledger
from include.ledger.datasets import list_versions
from include.ledger.objectives import Tally, find_first_minute, record_counts, sum_counts
from include.monitoring.burn import (
    ALERTS,
    BurnAlert,
    Look,
    find_alert,
    is_exhausted,
    list_lengths,
    measure_burn,
    measure_left,
)
from include.project import Project

# Labels are counted by windows of an hour: a shorter look back would see none of them.
LABEL_HOURS = 2.0
MEANINGS: dict[Objective, str] = {
    "availability": "requests answered by a model",
    "latency": "answers in time",
    "accuracy": "labelled answers right",
    "freshness": "minutes with data young enough",
}


def count_freshness(project: Project, ledger: Ledger, now: datetime) -> None:
    """Count this minute as good while the newest dataset version is young enough; without any, nothing is counted."""
    versions = list_versions(ledger, project.name)
    if not versions:
        return
    young = now - versions[0][1] <= timedelta(hours=project.monitoring.objectives.max_age_hours)
    minute = now.replace(second=0, microsecond=0)
    record_counts(ledger, project.name, "freshness", "versions", {minute: Tally(int(young), 1)})


def measure_objective(
    project: Project, objective: Objective, ledger: Ledger, labelled: list[PerformanceReport], now: datetime
) -> tuple[ObjectiveReport, bool]:
    """Measure one objective over the promised window of days; tell whether it is worth waking for.

    :param labelled: Performance of the windows since then, oldest first; read for accuracy only.
    :param now: Moment with time zone.
    """
    policy = project.monitoring.objectives
    target, lengths = policy.targets[objective], list_lengths(policy.days)
    looks = (
        _look_at_labels(labelled, now, lengths)
        if objective == "accuracy"
        else _look_at_counts(project.name, objective, ledger, now, lengths)
    )
    whole = looks[lengths[-1]]
    alert, exhausted = find_alert(looks, target, policy.days), is_exhausted(whole, target)
    report = ObjectiveReport(
        project=project.name,
        objective=objective,
        at=now,
        target=target,
        days=policy.days,
        good=whole.tally.good,
        events=whole.tally.events,
        left=measure_left(whole, target),
        burn={f"{one.hours:g}h": measure_burn(looks[one.hours], target) for one in ALERTS},
        verdict="exhausted" if exhausted else "burning" if alert else "met" if whole.tally.events else "not_measured",
        summary=_summarise(objective, whole, policy.days, target, alert),
    )
    return report, exhausted or bool(alert and alert.wakes)


def _look_at_counts(
    project: str, objective: Objective, ledger: Ledger, now: datetime, lengths: tuple[float, ...]
) -> dict[float, Look]:
    first = find_first_minute(ledger, project, objective)
    sums = sum_counts(ledger, project, objective, now, lengths)
    return {length: Look(tally, _cover(first, now, length)) for length, tally in sums.items()}


def _look_at_labels(labelled: list[PerformanceReport], now: datetime, lengths: tuple[float, ...]) -> dict[float, Look]:
    windows = _leave_out_overlaps(labelled)
    first = windows[0].start if windows else None
    looks = {length: max(length, LABEL_HOURS) for length in lengths}
    return {
        length: Look(_add(windows, now - timedelta(hours=hours), now), _cover(first, now, hours))
        for length, hours in looks.items()
    }


def _cover(first: datetime | None, now: datetime, hours: float) -> float:
    """Return the share of a look back that lies after the first event."""
    return min(1.0, (now - first) / timedelta(hours=hours)) if first else 0.0


def _leave_out_overlaps(labelled: list[PerformanceReport]) -> list[PerformanceReport]:
    """Keep windows that do not overlap: a window checked by hand holds answers that another one counts."""
    kept: list[PerformanceReport] = []
    for window in sorted(labelled, key=lambda one: (one.start, one.start - one.end)):
        if window.accuracy is not None and (not kept or window.start >= kept[-1].end):
            kept.append(window)
    return kept


def _add(windows: list[PerformanceReport], since: datetime, until: datetime) -> Tally:
    inside = [one for one in windows if since < one.end <= until]
    good = sum(round((one.accuracy or 0) * one.labelled) for one in inside)
    return Tally(good, sum(one.labelled for one in inside))


def _summarise(objective: Objective, whole: Look, days: float, target: float, alert: BurnAlert | None) -> str:
    good, events = whole.tally
    if not events:
        return f"{objective}: nothing measured yet; {target:.4g} of {MEANINGS[objective]} is promised"
    left = measure_left(whole, target)
    budget = f"{left:.1%} of the error budget is left" if left > 0 else f"the error budget is overdrawn by {-left:.0%}"
    young = "" if whole.covered == 1 else f" (counted for {24 * days * whole.covered:.1f} h; all before counts as good)"
    burns = f"; {alert.share:.0%} of it burnt within {alert.hours:g} h" if alert else ""
    return f"{objective}: {good:,} of {events:,} {MEANINGS[objective]}, {target:.4g} promised; {budget}{young}{burns}"
