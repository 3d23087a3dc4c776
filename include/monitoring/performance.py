"""Accuracy in service: as measured from labels, as estimated without, and whether it has fallen."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest

from include.contracts import DriftReport, PerformanceReport, ProfileReport
from include.errors import ArtifactNotFoundError, NotCertifiedError
from include.monitoring.detection import weigh_rise
from include.monitoring.estimate import Reference, estimate_accuracy
from include.monitoring.fairness import find_unfair, measure_slices
from include.monitoring.labels import choose_window, read_labelled, tell_hours, tell_right
from include.monitoring.sequence import HOURS_PER_QUARTER
from include.monitoring.series import read_performance_series, record_performance
from include.project import Project
from include.storage import Store
from include.storage.parquet import read_table
from include.vision.certificates import read_certificate
from include.vision.releases import CERTIFICATE, REFERENCE, release_address

CONFIDENCE_LEVEL = 0.95
# Chance that the certified accuracy was that much higher by luck.
DOUBT = 1e-3
SLICED = {"predicted", "label", "brightness", "width", "height"}
SURE = {"predicted", "label", "confidence"}


def measure_performance(
    project: Project, profile: ProfileReport, store: Store, drift: DriftReport | None = None
) -> PerformanceReport:
    """Measure a window's accuracy on the labels that have come, and tell whether the release has become worse.

    What is found joins the series, and there the accuracy of earlier windows is corrected by labels that came since.

    The interval is Wilson's (J. Am. Stat. Assoc. 22, 1927), at 95 %. Whether accuracy has fallen is judged on all
    labels of the release up to this window, by `weigh_rise`: errors may be as many as were certified, and
    `performance.max_drop` more, or as many more as the certified images may have hidden by luck.

    :param drift: Of the same window; without it nobody can say that only the labels have changed.
    :raises ArtifactNotFoundError: the window's table is gone.
    """
    counted = {"project": project.name, "start": profile.start, "end": profile.end, "predictions": profile.predictions}
    if profile.address is None or profile.release is None:
        return PerformanceReport.model_validate({**counted, "labelled": 0, "summary": "no predictions"})
    labelled = read_labelled(project, profile, store)
    window = choose_window(labelled, profile)
    reference = _read_reference(store, profile)
    found = {
        **counted,
        **_measure_accuracy(window),
        **_estimate(reference, profile, store, len(project.classes)),
        **_judge(project, profile, labelled, store),
        **_compare_slices(project, reference, labelled, window),
    }
    found["verdict"] = _decide(found, project.monitoring.performance.min_labels)
    found["concept"] = found["verdict"] == "degraded" and _is_still(drift)
    report = PerformanceReport.model_validate({**found, "summary": _summarise(found)})
    record_performance(store, report)
    _measure_again(project, profile, labelled, store)
    return report


def _measure_again(project: Project, profile: ProfileReport, labelled: pa.Table, store: Store) -> None:
    """Correct the accuracy of earlier windows whose labels have come since, or were corrected."""
    since = profile.end - timedelta(days=project.monitoring.performance.label_days)
    for old in read_performance_series(store, project.name, since):
        measured = _measure_accuracy(choose_window(labelled, old))
        known = {"labelled": old.labelled, "accuracy": old.accuracy}
        if old.end < profile.end and measured["labelled"] >= old.labelled and not measured.items() >= known.items():
            record_performance(store, old.model_copy(update=measured))


def _measure_accuracy(window: pa.Table) -> dict[str, Any]:
    right = tell_right(window)
    if not len(right):
        return {"labelled": 0, "accuracy": None}
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return {"labelled": len(right), "accuracy": float(right.mean()), "low": interval.low, "high": interval.high}


def _judge(project: Project, profile: ProfileReport, labelled: pa.Table, store: Store) -> dict[str, Any]:
    """Hold the labels of a release against the accuracy in its certificate; without one nothing is judged."""
    try:
        signed = store.read(f"{release_address(project.name, str(profile.release))}/{CERTIFICATE}")
        certified = read_certificate(signed, store).decision.candidate
    except (ArtifactNotFoundError, NotCertifiedError):
        return {}
    wrong = certified.images - round(certified.accuracy * certified.images)
    luck = binomtest(wrong, certified.images).proportion_ci(1 - 2 * DOUBT, method="exact").high
    bound = max(1 - certified.accuracy + project.monitoring.performance.max_drop, luck)
    evidence = weigh_rise((~tell_right(labelled)).astype(np.float64), bound, tell_hours(labelled))
    return {
        "certified": certified.accuracy,
        "evidence": evidence,
        "limit": HOURS_PER_QUARTER / project.monitoring.false_alarms_per_quarter,
    }


def _estimate(reference: pa.Table | None, profile: ProfileReport, store: Store, classes: int) -> dict[str, Any]:
    if reference is None or SURE - set(reference.column_names):
        return {}
    known = Reference(
        reference["confidence"].to_numpy(),
        np.array(reference["predicted"].to_pylist()) == np.array(reference["label"].to_pylist()),
    )
    columns = read_table(store, str(profile.address), ["confidence", "ood"])
    answered = columns.filter(columns["confidence"].is_valid())
    if not answered.num_rows or not len(known.right):
        return {}
    ood = answered["ood"].fill_null(0.0).to_numpy()
    estimate = estimate_accuracy(known, answered["confidence"].to_numpy(), ood, classes)
    return {"estimate": estimate.accuracy, "estimate_low": estimate.low, "estimate_high": estimate.high}


def _compare_slices(
    project: Project, reference: pa.Table | None, labelled: pa.Table, window: pa.Table
) -> dict[str, Any]:
    if reference is None or SLICED - set(reference.column_names):
        return {}
    return {
        "slices": measure_slices(project, reference, window),
        "unfair": find_unfair(project, reference, labelled),
    }


def _read_reference(store: Store, profile: ProfileReport) -> pa.Table | None:
    """Read the certified images of a window's release; releases of long ago say less of them, or are gone."""
    try:
        table = read_table(store, f"{release_address(profile.project, str(profile.release))}/{REFERENCE}")
    except ArtifactNotFoundError:
        return None
    return table.select([name for name in table.column_names if name in SLICED | SURE])


def _decide(found: dict[str, Any], needed: int) -> str:
    if found.get("limit") and found["evidence"] >= found["limit"]:
        return "degraded"
    return "stable" if found.get("limit") and found["labelled"] >= needed else "insufficient"


def _is_still(drift: DriftReport | None) -> bool:
    """Tell whether images look as they did, and as they did to the network."""
    if drift is None or drift.verdict == "insufficient":
        return False
    return not any(feature.drifted and feature.layer != "prediction" for feature in drift.features)


def _summarise(found: dict[str, Any]) -> str:
    parts = []
    if found["labelled"]:
        parts.append(f"{found['accuracy']:.1%} of {found['labelled']} labelled answers right")
    if "certified" in found:
        parts.append(f"{found['certified']:.1%} certified")
    if "estimate" in found:
        parts.append(
            f"{found['estimate']:.0%} ({found['estimate_low']:.0%} to {found['estimate_high']:.0%}) "
            "estimated without labels"
        )
    meaning = "; labels have changed where images have not" if found["concept"] else ""
    unfair = f"; unfair: {'; '.join(found['unfair'])}" if found.get("unfair") else ""
    return f"{found['verdict']}: {', '.join(parts) or 'no labels'}{meaning}{unfair}"
