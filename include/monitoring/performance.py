"""Accuracy in service, as far as labels have come back."""

import io

import pyarrow.parquet as pq
from scipy.stats import binomtest

from include.contracts import PerformanceReport, ProfileReport
from include.predictions import read_feedback
from include.project import Project
from include.storage import Store

CONFIDENCE_LEVEL = 0.95


def measure_performance(project: Project, profile: ProfileReport, store: Store) -> PerformanceReport:
    """Compare the predictions of a window with the labels that came for them, by request.

    The interval is Wilson's (J. Am. Stat. Assoc. 22, 1927), at 95 %. Without labels there is no accuracy.
    """
    hits = _compare(project, profile, store)
    counts = {"predictions": profile.predictions, "labelled": len(hits)}
    window = {"project": project.name, "start": profile.start, "end": profile.end}
    if not hits:
        return PerformanceReport.model_validate(window | counts)
    interval = binomtest(sum(hits), len(hits)).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    measured = {"accuracy": sum(hits) / len(hits), "low": interval.low, "high": interval.high}
    return PerformanceReport.model_validate(window | counts | measured)


def _compare(project: Project, profile: ProfileReport, store: Store) -> list[bool]:
    if profile.address is None:
        return []
    predictions = pq.read_table(io.BytesIO(store.read(profile.address)), columns=["request_id", "predicted"])
    feedback = read_feedback(store, project.name, profile.start)
    labels = dict(zip(feedback["request_id"].to_pylist(), feedback["label"].to_pylist(), strict=True))
    return [
        labels[request_id] == predicted
        for request_id, predicted in zip(*(column.to_pylist() for column in predictions.columns), strict=True)
        if request_id in labels
    ]
