"""Data drift: a window of predictions against the reference its release was certified on."""

import math
from collections.abc import Sequence

import pyarrow as pa

from include.contracts import DriftReport, FeatureDriftReport, ProfileReport
from include.monitoring.layers import METHODS, Weighed, require_columns, weigh_features
from include.monitoring.sequence import History, add_up, evidence_needed, read_history, wear_off
from include.monitoring.series import name_drift_page, record_drift
from include.project import Project
from include.storage import Store
from include.storage.parquet import read_table
from include.vision.releases import REFERENCE, release_address

# In the line for people; the page names them all.
NAMED = 4


def detect_drift(project: Project, profile: ProfileReport, store: Store) -> DriftReport:
    """Weigh every feature of a window against the reference of its release, and record what that adds up to.

    Answers that an earlier look at the same release has counted do not count again; with too few others, what that look
    found is repeated, and nothing recorded. Checking a window twice gives the same report: what it adds to is what was
    recorded of windows that end before it.

    :raises ContractViolationError: the reference or the window lacks a column that every release has.
    """
    window = profile.model_dump(include={"project", "start", "end", "release", "predictions"})
    needed = project.monitoring.min_predictions
    if profile.address is None or profile.release is None or profile.predictions < needed:
        summary = f"no evidence: {profile.predictions} predictions, at least {needed} are needed"
        return DriftReport.model_validate({**window, "verdict": "insufficient", "summary": summary})
    history = read_history(store, profile)
    rows = _read(store, profile.address)
    fresh = rows.filter(pa.array(history.is_new(rows["time"].to_numpy())))
    if history.latest and fresh.num_rows < needed:
        summary = f"{history.latest.summary}; {fresh.num_rows} of these {profile.predictions} were not counted then"
        return history.latest.model_copy(update={**window, "summary": summary})
    weighed = weigh_features(_read(store, f"{release_address(project.name, profile.release)}/{REFERENCE}"), fresh)
    limit = evidence_needed(len(weighed), project.monitoring.false_alarms_per_quarter)
    hours = history.hours_since(profile.start, profile.end)
    features = [_judge(one, history, hours, limit) for one in weighed]
    evidence = max(one.evidence for one in features)
    judged = {"verdict": "drift" if evidence >= limit else "stable", "summary": _summarise(features, fresh.num_rows)}
    report = DriftReport.model_validate(
        {**window, **judged, "features": features, "evidence": evidence, "limit": limit}
    )
    report = report.model_copy(update={"report": name_drift_page(report)})
    if report.verdict == "drift":
        _publish(report, weighed, store)
    record_drift(store, report)
    return report


def _judge(weighed: Weighed, history: History, hours: float, limit: float) -> FeatureDriftReport:
    before = history.evidence.get(weighed.feature, 0.0)
    evidence = add_up(before, hours, weighed.log_e)
    left = wear_off(history.residue.get(weighed.feature, 0.0), limit, weighed.log_e)
    return FeatureDriftReport(
        feature=weighed.feature,
        layer=weighed.layer,
        method=METHODS[weighed.feature],
        p_value=math.exp(-max(0.0, weighed.log_e)),
        threshold=min(1.0, (before + hours) / limit),
        drifted=evidence >= limit,
        evidence=evidence,
        residue=limit if evidence >= limit else left,
    )


def _read(store: Store, address: str) -> pa.Table:
    table = read_table(store, address)
    require_columns(table, address)
    return table


def _publish(report: DriftReport, weighed: Sequence[Weighed], store: Store) -> None:
    # Evidently takes seconds to import, and most windows need no page of its own.
    from include.monitoring.drift_page import publish_page

    publish_page(report, weighed, store)


def _summarise(features: Sequence[FeatureDriftReport], predictions: int) -> str:
    drifted = [one.feature for one in sorted(features, key=lambda one: one.p_value) if one.drifted]
    unsettled = [one.feature for one in features if one.residue >= 1]
    if not drifted and unsettled:
        return f"stable, but not shown to be over yet: {', '.join(unsettled[:NAMED])}"
    if not drifted:
        return f"stable: nothing differs by more than it may in {predictions} predictions"
    rest = len(drifted) - NAMED
    names = ", ".join(drifted[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return f"drift: {names} {'differs' if len(drifted) == 1 else 'differ'} in {predictions} predictions"
