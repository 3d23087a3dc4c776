import pytest

from include.contracts import FeatureProfileReport, ProfileReport
from include.monitoring.changes import describe_changes
from tests.include.monitoring.conftest import END, RELEASE, START


def feature(mean: float, deviation: float = 0.1) -> FeatureProfileReport:
    return FeatureProfileReport(feature="noise", mean=mean, deviation=deviation, low=0, median=mean, high=1)


def profile(**changes: object) -> ProfileReport:
    window = {"project": "digits", "start": START, "end": END, "release": RELEASE, "predictions": 200, "address": "a"}
    measured = {"per_minute": 10.0, "latency_ms": {"p95": 4.0}, "mix": {"1": 0.5, "7": 0.5}, "formats": {"PNG": 1.0}}
    return ProfileReport.model_validate({**window, **measured, "features": (feature(0.3),), **changes})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"release": "sha256:" + "c" * 64}, f"release cccccccccccc answers, not {RELEASE[7:19]}"),
        ({"per_minute": 21.0}, "21 answers a minute, after 10"),
        ({"per_minute": 0.0}, "0 answers a minute, after 10"),
        ({"latency_ms": {"p95": 9.0}}, "95 of 100 answers take at most 9 ms, after 4 ms"),
        ({"failed": 3}, "3 requests failed, none before"),
        ({"abstained": 1}, "1 requests abstained, none before"),
        ({"formats": {"PNG": 0.5, "JPEG": 0.5}}, "50% are of format JPEG, after 0%"),
        ({"mix": {"1": 0.8, "7": 0.2}}, "80% are of class 1, after 50%"),
        ({"features": (feature(0.4),)}, "noise is 0.4 on average, after 0.3"),
    ],
)
def test_each_change_is_told(change: dict[str, object], line: str):
    assert line in describe_changes(profile(), profile(**change))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"per_minute": 15.0},
        {"mix": {"1": 0.55, "7": 0.45}},
        {"features": (feature(0.32),)},
        {"predictions": 4, "mix": {"1": 0.75, "7": 0.25}},
        {"predictions": 2, "features": (feature(0.4),)},
        {"latency_ms": {}},
    ],
)
def test_what_chance_or_nobody_would_notice_is_not(change: dict[str, object]):
    assert describe_changes(profile(), profile(**change)) == ()


def test_without_a_window_before_or_without_enough_in_this_one_nothing_has_changed():
    assert describe_changes(None, profile()) == ()
    assert describe_changes(profile(), profile(address=None, release=None, predictions=0, per_minute=0)) == ()


def test_a_constant_that_stays_so_has_not_moved():
    constant = {"features": (feature(1 / 3, 0.0),)}
    assert describe_changes(profile(**constant), profile(**constant)) == ()
    assert describe_changes(profile(**constant), profile(features=(feature(0.34, 0.0),))) != ()
