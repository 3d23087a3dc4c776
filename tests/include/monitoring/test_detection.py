import numpy as np
import pytest

from include.monitoring.detection import trace_rise, weigh_rise
from include.monitoring.sequence import HOURS_PER_QUARTER

BOUND = 0.1


def draw(rate: float, labels: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(labels) < rate).astype(float)


def hourly(labels: int, each: int = 10) -> np.ndarray:
    return np.arange(labels) / each


def find_alarm(rate: float, labels: int, seed: int) -> bool:
    """Look after every label, and act on the first alarm."""
    return bool((trace_rise(draw(rate, labels, seed), BOUND, hourly(labels)) >= HOURS_PER_QUARTER).any())


def test_looking_later_sees_the_same_past():
    scores, hours = draw(0.3, 200, 1), hourly(200)
    path = trace_rise(scores, BOUND, hours)
    assert [weigh_rise(scores[:end], BOUND, hours[:end]) for end in (1, 50, 200)] == pytest.approx(path[[0, 49, 199]])


def test_a_healthy_release_raises_no_alarm_however_often_one_looks():
    # A quarter at the very bound raises one alarm at most, on average; far from it, none.
    assert sum(find_alarm(BOUND, 21_900, seed) for seed in range(40)) <= 32
    assert sum(find_alarm(BOUND / 2, 21_900, seed) for seed in range(20)) == 0


@pytest.mark.parametrize(("rate", "enough"), [(1.0, 10), (0.6, 40), (0.3, 150)])
def test_a_rise_is_found_soon_however_long_all_was_well(rate, enough):
    late = 0
    for seed in range(20):
        scores = np.concatenate([draw(0.03, 2000, seed), draw(rate, enough, seed + 1000)])
        late += weigh_rise(scores, BOUND, hourly(len(scores))) < HOURS_PER_QUARTER
    assert late <= 2


def test_a_healthy_time_does_not_hide_what_comes_after():
    bad = np.ones(12)
    alone = weigh_rise(bad, BOUND, hourly(12))
    after = weigh_rise(np.concatenate([np.zeros(5000), bad]), BOUND, hourly(5012))
    assert after > alone / 50


def test_an_error_that_fell_again_is_forgotten():
    scores = np.concatenate([np.ones(12), np.zeros(3000)])
    assert weigh_rise(scores[:12], BOUND, hourly(12)) > HOURS_PER_QUARTER
    assert weigh_rise(scores, BOUND, hourly(len(scores))) < 10


def test_silence_is_no_evidence():
    assert weigh_rise(np.array([0.0]), BOUND, np.array([50_000.0])) <= 1
    assert weigh_rise(np.array([0.0, 0.0]), BOUND, np.array([0.0, 50_000.0])) <= 2


def test_all_labels_at_one_moment_are_one_look():
    scores = draw(0.9, 40, 1)
    assert weigh_rise(scores, BOUND, np.full(40, 7.0)) > HOURS_PER_QUARTER


@pytest.mark.parametrize("bound", [1.0, 2.0])
def test_what_cannot_be_exceeded_never_is(bound):
    assert weigh_rise(np.ones(1000), bound, hourly(1000)) == 0


def test_nothing_is_no_evidence():
    assert weigh_rise(np.array([]), BOUND, np.array([])) == 0


def test_overwhelming_evidence_stays_a_number():
    assert np.isfinite(weigh_rise(np.ones(100_000), 0.0, hourly(100_000)))
