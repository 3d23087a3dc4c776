import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from include.contracts import DriftReport, FeatureDriftReport, ProfileReport
from include.monitoring.betting import weigh_numbers
from include.monitoring.sequence import CEILING, HOURS_PER_QUARTER, add_up, evidence_needed, read_history, wear_off
from include.monitoring.series import record_drift
from include.storage import Store, digest_bytes

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RELEASE = digest_bytes(b"release")


def make_profile(start: datetime, hours: float = 1, release: str = RELEASE) -> ProfileReport:
    end = start + timedelta(hours=hours)
    return ProfileReport(project="digits", start=start, end=end, release=release, predictions=90, address="a")


@pytest.fixture
def record(store: Store):
    """Record what a window added up to."""

    def write(
        start: datetime,
        evidence: float,
        *,
        hours: float = 1,
        verdict: str = "stable",
        release: str = RELEASE,
        residue: float = 0,
    ):
        drifted = verdict == "drift"
        feature = FeatureDriftReport(
            feature="noise", method="m", p_value=1, threshold=0, drifted=drifted, evidence=evidence, residue=residue
        )
        window = make_profile(start, hours, release).model_dump(
            include={"project", "start", "end", "release", "predictions"}
        )
        report = {**window, "verdict": verdict, "features": [feature], "summary": "", "evidence": evidence}
        record_drift(store, DriftReport.model_validate(report))

    return write


def test_evidence_adds_up_in_hours_and_has_a_ceiling():
    assert add_up(0, 1, 0) == pytest.approx(1)
    assert add_up(3, 0.5, math.log(2)) == pytest.approx(7)
    assert add_up(0, 0, 50) == 0
    assert add_up(3, 1, 5_000) == CEILING
    assert add_up(3, 1, -5_000) == 0


@pytest.mark.parametrize("hours", [1, 0.1, 8])
def test_alarms_without_drift_are_as_rare_as_promised_however_often_one_looks(hours: float):
    """Four features that are healthy, with evidence as rough as a fair game gives; ten alarms are allowed in all."""
    chance = np.random.default_rng(4)
    limit, allowed, features = evidence_needed(4, 40), 10, 4
    evidence, alarms = [0.0] * features, 0
    for _ in range(int(allowed * limit / features / hours)):
        spread = math.sqrt(hours)
        fair = chance.normal(-(spread**2) / 2, spread, features)
        evidence = [add_up(before, hours, log_e) for before, log_e in zip(evidence, fair, strict=True)]
        if max(evidence) >= limit:
            alarms, evidence = alarms + 1, [0.0] * features
    assert 0 < alarms <= allowed + 2 * math.sqrt(allowed)


def test_one_false_alarm_a_quarter_is_shared_by_all_features():
    assert evidence_needed(10, 1) == pytest.approx(10 * HOURS_PER_QUARTER)
    assert evidence_needed(10, 2) == pytest.approx(5 * HOURS_PER_QUARTER)


@pytest.mark.parametrize(("sd", "fewest", "most"), [(0.0, 20, 20), (0.5, 0, 2)], ids=["healthy again", "still there"])
def test_an_alarm_wears_off_in_health_and_not_while_what_raised_it_goes_on(sd: float, fewest: int, most: int):
    """In how many of 20 streams three windows of 200 answers in a row leave nothing, the last of them the seventh."""
    chance, limit = np.random.default_rng(5), evidence_needed(13, 1)
    passed = 0
    for _ in range(20):
        reference, residue, left = chance.normal(size=300), limit, []
        for _ in range(7):
            residue = wear_off(residue, limit, weigh_numbers(reference, chance.normal(size=200) + sd))
            left.append(residue)
        passed += max(left[-3:]) < 1
    assert fewest <= passed <= most


def test_what_is_left_of_an_alarm_is_remembered_after_it(store: Store, record):
    record(NOON, 1e6, verdict="drift", residue=500.0)
    assert read_history(store, make_profile(NOON + HOUR)).residue == {"noise": 500.0}
    assert wear_off(500.0, 500.0, 7.0) == 500.0
    assert wear_off(500.0, 500.0, -7.0) < 1


def test_the_last_window_before_counts(store: Store, record):
    record(NOON, 2.0)
    record(NOON + HOUR, 7.0)
    record(NOON + 2 * HOUR, 50.0)
    history = read_history(store, make_profile(NOON + 2 * HOUR))
    assert history.evidence == {"noise": 7.0}
    assert history.looks == ((NOON, NOON + HOUR), (NOON + HOUR, NOON + 2 * HOUR))


def test_an_alarm_another_release_and_a_long_silence_begin_anew(store: Store, record):
    record(NOON, 1e6, verdict="drift")
    assert read_history(store, make_profile(NOON + HOUR)).evidence == {}
    assert read_history(store, make_profile(NOON + HOUR)).looks == ((NOON, NOON + HOUR),)
    record(NOON + HOUR, 2.0)
    assert read_history(store, make_profile(NOON + 2 * HOUR)).evidence == {"noise": 2.0}
    assert read_history(store, make_profile(NOON + 2 * HOUR, release=digest_bytes(b"next"))).looks == ()
    assert read_history(store, make_profile(NOON + timedelta(days=8))).looks == ()


def test_a_window_without_evidence_leaves_no_trace(store: Store, record):
    record(NOON, 0.0, verdict="insufficient")
    assert read_history(store, make_profile(NOON + HOUR)).looks == ()


def test_what_two_looks_cover_counts_once(store: Store, record):
    record(NOON + HOUR / 3, 2.0, hours=1 / 3)
    profile = make_profile(NOON)
    history = read_history(store, profile)
    minutes = np.datetime64("2026-03-01T12:00", "us") + np.arange(60) * np.timedelta64(1, "m")
    assert np.flatnonzero(~history.is_new(minutes)).tolist() == list(range(20, 40))
    assert history.hours_since(profile.start, profile.end) == pytest.approx(1 / 3)
    assert read_history(store, make_profile(NOON + 5 * HOUR)).hours_since(NOON + 5 * HOUR, NOON + 6 * HOUR) == 1
    assert history.hours_since(NOON, NOON + HOUR / 2) == 0
