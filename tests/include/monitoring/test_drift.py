import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.stats import chi2_contingency, ks_2samp

from include.contracts import DriftReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.monitoring.drift import FEATURES, NUMERICAL, detect_drift
from include.monitoring.profile import profile_predictions
from include.project import Project
from include.storage import Store
from include.vision.statistics import image_statistics
from tests.include.monitoring.conftest import END, RELEASE, START, Rows

Check = Callable[[Rows, Rows], DriftReport]


@pytest.fixture
def check(store: Store, project: Project, write_reference, log_traffic) -> Check:
    """Hold traffic against a reference."""

    def run(reference: Rows, traffic: Rows) -> DriftReport:
        write_reference(reference)
        log_traffic(traffic)
        return detect_drift(project, profile_predictions(project, START, END, store), store)

    return run


def degrade(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).rotate(20).filter(ImageFilter.GaussianBlur(1.2)))


def test_p_values_are_those_of_scipy(check: Check, digit_rows: Rows, project: Project):
    reference, traffic = digit_rows[:220], digit_rows[220:]
    report = check(reference, traffic)
    found = {feature.feature: feature.p_value for feature in report.features}
    assert tuple(found) == FEATURES
    for name in NUMERICAL:
        expected = ks_2samp([row[name] for row in reference], [row[name] for row in traffic]).pvalue
        assert found[name] == pytest.approx(expected, rel=1e-9)
    counts = [[[row["predicted"] for row in rows].count(str(c)) for c in range(10)] for rows in (reference, traffic)]
    assert found["predicted"] == pytest.approx(chi2_contingency(counts, correction=False).pvalue, rel=1e-9)
    assert {feature.threshold for feature in report.features} == {project.monitoring.false_alarm_rate / len(FEATURES)}


def test_healthy_traffic_is_stable(check: Check, digit_rows: Rows):
    # In the file's own order one writer follows the other, and that is a drift.
    dealt = [digit_rows[index] for index in np.random.default_rng(8).permutation(len(digit_rows))]
    report = check(dealt[:200], dealt[200:])
    assert (report.verdict, report.predictions) == ("stable", 200)
    assert report.summary == "stable: no feature differs (p >= 0.0017) in 200 predictions"


def test_a_degraded_camera_is_drift(check: Check, digit_rows: Rows, digit_images):
    degraded = [
        row | image_statistics(degrade(image))
        for row, (image, _) in zip(digit_rows[200:], digit_images[200:], strict=True)
    ]
    report = check(digit_rows[:200], degraded)
    assert report.verdict == "drift"
    assert "sharpness" in {feature.feature for feature in report.features if feature.drifted}
    assert "confidence" not in {feature.feature for feature in report.features if feature.drifted}
    assert report.summary.startswith("drift: ")
    assert report.summary.endswith("differ (p < 0.0017) in 200 predictions")


def test_a_class_the_reference_never_saw_is_drift_not_a_crash(check: Check, digit_rows: Rows):
    report = check(digit_rows[:200], [row | {"predicted": "unheard of"} for row in digit_rows[200:]])
    assert [feature.feature for feature in report.features if feature.drifted] == ["predicted"]
    assert report.summary == "drift: predicted differs (p < 0.0017) in 200 predictions"


@pytest.mark.parametrize("count", [0, 1, 59])
def test_too_few_predictions_are_no_evidence(check: Check, digit_rows: Rows, store: Store, count: int):
    report = check(digit_rows[:200], digit_rows[:count])
    assert (report.verdict, report.predictions, report.report) == ("insufficient", count, None)
    assert report.summary == f"no evidence: {count} predictions, at least 60 are needed"
    assert store.list("digits/reports") == []


def test_constant_columns_are_neither_drift_nor_nan(check: Check, digit_rows: Rows, store: Store):
    flat = [row | dict.fromkeys(NUMERICAL, 0.5) | {"predicted": "1"} for row in digit_rows]
    report = check(flat[:200], flat[200:])
    assert report.verdict == "stable"
    assert [feature.p_value for feature in report.features] == [1.0] * len(FEATURES)
    assert store.exists(report.report)


def test_a_constant_that_moved_is_drift(check: Check, digit_rows: Rows):
    moved = [row | {"brightness": 0.6} for row in digit_rows[200:]]
    report = check([row | {"brightness": 0.5} for row in digit_rows[:200]], moved)
    assert report.features[0].feature == "brightness"
    assert report.features[0].drifted


def test_the_page_needs_no_network_and_names_every_feature(check: Check, digit_rows: Rows, store: Store):
    report = check(digit_rows[:200], digit_rows[200:])
    assert re.fullmatch(r"digits/reports/drift/[0-9a-f]{16}/index\.html", report.report)
    page = store.read(report.report).decode()
    assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?!data:)[^>]*>", page) == []
    assert not re.search(r"@import\s+(url|['\"])|url\(['\"]?https?:", page)
    assert all(feature in page for feature in FEATURES)


def test_checking_twice_gives_the_same_report(check: Check, digit_rows: Rows, store: Store):
    first = check(digit_rows[:200], digit_rows[200:])
    before = store.read(first.report)
    assert check(digit_rows[:200], digit_rows[200:]) == first
    assert store.read(first.report) == before


def test_a_release_without_a_reference_is_an_error(store: Store, project: Project, digit_rows: Rows, log_traffic):
    log_traffic(digit_rows)
    with pytest.raises(ArtifactNotFoundError, match=rf"{RELEASE[7:]}/reference\.parquet"):
        detect_drift(project, profile_predictions(project, START, END, store), store)


@pytest.mark.parametrize("broken", ["missing", "empty", "nothing but NaN"])
def test_a_reference_without_values_is_an_error(check: Check, digit_rows: Rows, broken: str):
    if broken == "missing":
        reference = [{key: value for key, value in row.items() if key != "entropy"} for row in digit_rows[:200]]
    else:
        reference = [row | {"entropy": math.nan} for row in digit_rows[:200]]
    if broken == "empty":
        reference = []
    with pytest.raises(ContractViolationError, match="entropy"):
        check(reference, digit_rows[200:])
