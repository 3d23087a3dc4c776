import io
import math
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
from PIL import Image, ImageFilter

from examples.camera.lens import CLEAN_LENS, WORN_LENSES, Lens, photograph
from include.contracts import DriftReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.monitoring.drift import detect_drift
from include.monitoring.profile import profile_predictions
from include.monitoring.sequence import HOURS_PER_QUARTER
from include.monitoring.series import find_drift_report, read_drift_series
from include.project import Project
from include.settings import REPOSITORY
from include.storage import Store
from include.vision.statistics import image_statistics
from tests.include.monitoring.conftest import END, RELEASE, START, Rows

HOUR = timedelta(hours=1)
Check = Callable[..., DriftReport]


@pytest.fixture
def look(store: Store, project: Project) -> Check:
    """Look at the traffic of some time."""

    def run(start: datetime = START, end: datetime = END) -> DriftReport:
        return detect_drift(project, profile_predictions(project, start, end, store), store)

    return run


@pytest.fixture
def check(look: Check, write_reference, log_traffic) -> Check:
    """Hold traffic against a reference."""

    def run(reference: Rows, traffic: Rows) -> DriftReport:
        write_reference(reference)
        log_traffic(traffic)
        return look()

    return run


@pytest.fixture
def dealt(digit_rows: Rows) -> Rows:
    """In the file's own order one writer follows the other, and that is a drift."""
    return [digit_rows[index] for index in np.random.default_rng(8).permutation(len(digit_rows))]


@pytest.fixture
def degraded(digit_rows: Rows, digit_images) -> Rows:
    return [
        row | image_statistics(np.asarray(Image.fromarray(image).rotate(20).filter(ImageFilter.GaussianBlur(1.2))))
        for row, (image, _) in zip(digit_rows[200:], digit_images[200:], strict=True)
    ]


def shoot(lens: Lens, count: int, first: int) -> Rows:
    chance = np.random.default_rng(first)
    specimens = chance.permutation(1797)[:count]
    photographs = (photograph(int(specimen), lens, first) for specimen in specimens)
    sureness = chance.beta(20, 2, count)
    return [
        image_statistics(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")))
        | {"predicted": str(specimen % 10), "confidence": float(sure)}
        for picture, specimen, sure in zip(photographs, specimens, sureness, strict=True)
    ]


def test_healthy_traffic_is_stable(check: Check, dealt: Rows, project: Project):
    report = check(dealt[:200], dealt[200:])
    assert (report.verdict, report.predictions) == ("stable", 200)
    assert report.summary == "stable: nothing differs by more than it may in 200 predictions"
    assert report.limit == pytest.approx(len(report.features) * HOURS_PER_QUARTER)
    assert 0 < report.evidence < 1
    assert {feature.threshold for feature in report.features} == {1 / report.limit}


def test_a_degraded_camera_is_drift_and_what_did_not_change_is_not(check: Check, digit_rows: Rows, degraded: Rows):
    report = check(digit_rows[:200], degraded)
    drifted = {feature.feature for feature in report.features if feature.drifted}
    assert report.verdict == "drift"
    assert "sharpness" in drifted
    assert "confidence" not in drifted
    assert report.evidence >= report.limit
    assert all((feature.p_value <= feature.threshold) == feature.drifted for feature in report.features)
    assert report.summary.startswith("drift: ")
    assert report.summary.endswith("differ in 200 predictions")


@pytest.mark.parametrize("lens", WORN_LENSES[:2], ids=["forward", "backward"])
def test_the_worn_lens_is_found_in_one_short_window(look: Check, write_reference, log_traffic, lens: Lens):
    write_reference(shoot(CLEAN_LENS, 270, 1))
    log_traffic(shoot(CLEAN_LENS, 300, 2))
    assert look(START, START + timedelta(seconds=300)).verdict == "stable"
    log_traffic(shoot(lens, 120, 3), start=START + timedelta(minutes=10))
    report = look(START + timedelta(minutes=10), START + timedelta(minutes=12))
    assert (report.verdict, report.predictions) == ("drift", 120)


def test_weak_evidence_adds_up_over_the_hours(look: Check, write_reference, log_traffic):
    write_reference(shoot(CLEAN_LENS, 300, 1))
    for hour in range(8):
        log_traffic(shoot(Lens(brightness=0.955), 60, 10 + hour), start=START + hour * HOUR)
        report = look(START + hour * HOUR, START + (hour + 1) * HOUR)
        if report.verdict == "drift":
            break
    drifted = [feature for feature in report.features if feature.drifted]
    assert hour > 0
    assert drifted
    assert all(feature.p_value > 1 / report.limit for feature in drifted), "no window was enough by itself"


def test_the_same_predictions_do_not_count_twice(
    look: Check, check: Check, digit_rows: Rows, degraded: Rows, store: Store
):
    first = check(digit_rows[:200], degraded)
    again = look(START, END + timedelta(minutes=5))
    assert (again.verdict, again.features, again.report) == ("drift", first.features, first.report)
    assert again.summary == f"{first.summary}; 0 of these 200 were not counted then"
    assert read_drift_series(store, first.project, START) == [first]


def test_what_is_new_in_an_overlapping_window_counts(look: Check, check: Check, dealt: Rows, log_traffic):
    check(dealt[:200], dealt[200:320])
    log_traffic([row | {"brightness": 0.9} for row in dealt[320:]], start=END + timedelta(minutes=1))
    report = look(START, END + timedelta(minutes=30))
    assert (report.verdict, report.predictions) == ("drift", 200)
    assert report.summary == "drift: brightness differs in 80 predictions"


def test_a_stable_window_after_an_alarm_says_what_is_not_shown_to_be_over(
    check: Check, look: Check, dealt: Rows, log_traffic
):
    drifted = check(dealt[:200], [row | {"brightness": 0.9} for row in dealt[200:]])
    left = {one.feature: one.residue for one in drifted.features}
    assert left == dict.fromkeys(left, 0.0) | {"brightness": drifted.limit}
    for hour in range(1, 6):
        log_traffic(dealt[200:], start=START + hour * HOUR)
        report = look(START + hour * HOUR, START + (hour + 1) * HOUR)
        if hour == 1:
            assert (report.verdict, report.summary) == ("stable", "stable, but not shown to be over yet: brightness")
    assert max(one.residue for one in report.features) < 1
    assert report.summary.startswith("stable: nothing differs")


def test_checking_twice_gives_the_same_report(check: Check, look: Check, dealt: Rows, store: Store, log_traffic):
    first = check(dealt[:200], dealt[200:])
    log_traffic(dealt[200:], start=END)
    second = look(END, END + HOUR)
    assert look() == first
    assert look(END, END + HOUR) == second
    assert read_drift_series(store, first.project, START) == [first, second]


def test_every_window_that_was_judged_is_found_by_the_address_of_its_page(
    check: Check, look: Check, dealt: Rows, store: Store, log_traffic
):
    stable = check(dealt[:200], dealt[200:])
    log_traffic([row | {"brightness": 0.9} for row in dealt[200:]], start=END)
    drifted = look(END, END + HOUR)
    assert (stable.verdict, drifted.verdict) == ("stable", "drift")
    assert [find_drift_report(store, one.report) for one in (stable, drifted)] == [stable, drifted]
    assert (store.exists(stable.report), store.exists(drifted.report)) == (False, True)


def test_a_class_the_reference_never_saw_is_drift_not_a_crash(check: Check, digit_rows: Rows):
    report = check(digit_rows[:200], [row | {"predicted": "unheard of"} for row in digit_rows[200:]])
    assert next(one for one in report.features if one.feature == "predicted").drifted
    assert "predicted" in report.summary


@pytest.mark.parametrize("count", [0, 1, 59])
def test_too_few_predictions_are_no_evidence(check: Check, digit_rows: Rows, store: Store, count: int):
    report = check(digit_rows[:200], digit_rows[:count])
    assert (report.verdict, report.predictions, report.report) == ("insufficient", count, None)
    assert report.summary == f"no evidence: {count} predictions, at least 60 are needed"
    assert read_drift_series(store, report.project, START) == []


def test_constant_columns_are_no_drift(check: Check, digit_rows: Rows):
    flat = [dict.fromkeys(row, 0.5) | {"predicted": "1"} for row in digit_rows]
    report = check(flat[:200], flat[200:])
    assert (report.verdict, {feature.p_value for feature in report.features}) == ("stable", {1.0})


def test_a_constant_that_moved_is_drift(check: Check, dealt: Rows):
    moved = [row | {"brightness": 0.6} for row in dealt[200:]]
    report = check([row | {"brightness": 0.5} for row in dealt[:200]], moved)
    assert [feature.feature for feature in report.features if feature.drifted] == ["brightness"]


def test_a_stable_window_does_not_load_evidently():
    code = "import sys, include.monitoring.drift; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {"evidently", "pandas", "torch", "mlflow"}.isdisjoint(loaded.stdout.split())


def test_a_release_without_a_reference_is_an_error(look: Check, digit_rows: Rows, log_traffic):
    log_traffic(digit_rows)
    with pytest.raises(ArtifactNotFoundError, match=rf"{RELEASE[7:]}/reference\.parquet"):
        look()


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
