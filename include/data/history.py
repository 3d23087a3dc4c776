"""What the suites may refer to by name: this partition's own numbers, and those of the partitions before it.

A backfill holds every day against the days before it only, so that days validated later change nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import chi2

from include.contracts import ValidationReport
from include.data.arrivals import SNAPSHOT
from include.data.outliers import BINS, MEASURED, RANGES, TO_SIGMA, Measures

PARTITIONS_BEFORE = 14
LEAST_PARTITIONS = 3
FALSE_ALARMS = 1e-3
BEFORE = "_before"
PARAMETERS = frozenset({
    "partition_start", "partition_end", "rows_before", "labels_before", "labels_noise", "labels_noise_before",
    *(f"{column}_{number}{when}" for column in MEASURED for number in ("median", "spread") for when in ("", BEFORE)),
    *(f"{column}_{name}" for column in RANGES for name in ("before", "noise_before")),
})  # fmt: skip


def name_parameters(
    partition: str,
    measures: Measures,
    history: Sequence[ValidationReport],
    classes: Sequence[str],
    now: datetime,
) -> dict[str, Any]:
    """Give every parameter that can be known a value; one without evidence is left out.

    :param history: Partitions before it that passed, oldest first; the last 14 count.
    """
    own = {name: value for name, value in measures.statistics.items() if name in PARAMETERS}
    parameters = {**_name_times(partition, now), **own}
    labelled = sum(measures.labels.values())
    if labelled:
        parameters["labels_noise"] = _noise(len(classes), labelled)
    recent = [past for past in history[-PARTITIONS_BEFORE:] if past.accepted]
    if len(recent) >= LEAST_PARTITIONS:
        parameters["rows_before"] = median(past.accepted for past in recent)
        parameters |= _name_statistics(recent) | _name_histograms(measures, recent)
        parameters |= _name_labels(labelled, recent, classes)
    return parameters


def explain_absence(name: str) -> str:
    """Say why a parameter has no value."""
    if name.endswith(BEFORE):
        return f"fewer than {LEAST_PARTITIONS} good partitions (or none with labels) to compare with"
    return "no image of this partition has a label yet" if name == "labels_noise" else "no accepted image to measure"


def _name_times(partition: str, now: datetime) -> dict[str, Any]:
    if partition == SNAPSHOT:
        # The end of today, so that a run again says the same.
        return {"partition_end": now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)}
    start = datetime.fromisoformat(partition).replace(tzinfo=UTC)
    return {"partition_start": start, "partition_end": start + timedelta(days=1)}


def _name_statistics(recent: Sequence[ValidationReport]) -> dict[str, float]:
    named = {}
    for column in MEASURED:
        past = [one.statistics for one in recent if f"{column}_median" in one.statistics]
        if past:
            centre = median(one[f"{column}_median"] for one in past)
            wander = TO_SIGMA * median(abs(one[f"{column}_median"] - centre) for one in past)
            named[f"{column}_median{BEFORE}"] = centre
            # Within a day and between days, whichever is wider.
            named[f"{column}_spread{BEFORE}"] = max(median(one[f"{column}_spread"] for one in past), wander)
    return named


def _name_histograms(measures: Measures, recent: Sequence[ValidationReport]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for column, limits in RANGES.items():
        counts = np.sum([one.histograms.get(column, (0,) * BINS) for one in recent], axis=0)
        images = sum(measures.histograms.get(column, ()))
        if images and counts.sum():
            named[column + BEFORE] = {"bins": np.linspace(*limits, BINS + 1).tolist(), "weights": _shares(counts)}
            named[f"{column}_noise{BEFORE}"] = _noise(BINS, images, int(counts.sum()))
    return named


def _name_labels(labelled: int, recent: Sequence[ValidationReport], classes: Sequence[str]) -> dict[str, Any]:
    counts = np.array([sum(one.labels.get(name, 0) for one in recent) for name in classes])
    if not labelled or not counts.sum():
        return {}
    shares = {"values": list(classes), "weights": _shares(counts)}
    return {"labels" + BEFORE: shares, f"labels_noise{BEFORE}": _noise(len(classes), labelled, int(counts.sum()))}


def _shares(counts: Any) -> list[float]:
    """Turn counts into shares; half a count more in each (Jeffreys' prior) keeps what was never seen possible."""
    weights = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return [float(weight) for weight in weights / weights.sum()]


def _noise(bins: int, images: int, compared: int | None = None) -> float:
    """Return the Kullback-Leibler divergence, in nats, that chance alone exceeds in one partition of a thousand.

    Twice the number of images times the divergence follows chi-square with `bins` - 1 degrees of freedom: the G-test
    (Sokal and Rohlf, Biometry, 1981).

    :param compared: Images behind the expected shares, where these were counted and not given.
    """
    effective = images if compared is None else images * compared / (images + compared)
    return float(chi2.isf(FALSE_ALARMS, bins - 1) / (2 * effective))


def describe_parameters() -> Mapping[str, str]:
    """Say in words what each kind of parameter stands for."""
    return {
        "partition_start, partition_end": "the UTC day of the partition; for `snapshot` only an end, that of today",
        "<column>_median, <column>_spread": "of this partition; the spread is 1.4826 median absolute deviations",
        "<column>_median_before, <column>_spread_before": f"of the last {PARTITIONS_BEFORE} good partitions before",
        "rows_before": "median number of accepted images of those partitions",
        "labels_before, brightness_before, contrast_before, saturation_before": "how those were distributed",
        "labels_noise, <column>_noise_before, labels_noise_before": "divergence that chance alone may bring",
    }
