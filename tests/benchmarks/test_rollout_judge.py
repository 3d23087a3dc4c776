import numpy as np
import pytest

from benchmarks.planted_rollouts import Truth, breaks_ranks, breaks_threshold, play
from benchmarks.rollout_judge import (
    AT_LIMITS,
    FAILING,
    POLICY,
    UNKNOWN,
    play_all,
    show_equal,
    show_failing,
    show_keys,
    show_others,
    show_silent,
)


@pytest.mark.parametrize(
    ("show", "rollouts"), [(show_equal, 40), (show_failing, 12), (show_silent, 12), (show_keys, 60)]
)
def test_a_small_run_reaches_the_goals(show, rollouts):
    table, sound = show(rollouts, 1_500)
    assert table.row_count > 1
    assert sound


def test_other_rules_are_held_against_the_same_traffic():
    table, sound = show_others(6)
    assert sound
    assert next(iter(table.columns[3].cells)) != "0.0%"


@pytest.mark.parametrize("truth", UNKNOWN.values(), ids=UNKNOWN)
def test_what_too_little_is_known_of_is_never_promoted(truth):
    assert play_all(truth, POLICY, 3, most=3_000).promoted == 0


def test_a_healthy_release_passes_all_steps_and_no_play_depends_on_chance():
    (first, traffic), (again, _) = (play(Truth(), POLICY, 5, look=100, most=5_000) for _ in range(2))
    assert first == again
    assert (first.verdict, first.step) == ("promote", 4)
    assert list(traffic.splits) == list(POLICY.canary_steps)


def test_a_release_at_every_limit_is_neither_promoted_nor_taken_back_while_held():
    report, _ = play(Truth(0.05, 0.05, disagreement=0.05), AT_LIMITS, 1, look=100, most=2_000, held=0.5)
    assert report.verdict in {"continue", "promote"}
    assert {metric.verdict for metric in report.metrics} <= {"undecided", "safe"}


def test_without_comparisons_traffic_alone_finds_a_failing_release():
    errors, goal = FAILING["100 %"]
    line = play_all(Truth(errors, compared=0.0), POLICY, 10, held=0.05, most=2_000)
    assert line.rolled_back == 10
    assert np.median(line.requests) <= goal


def test_the_rules_of_others_see_what_is_plain_and_a_threshold_sees_more():
    chance = np.random.default_rng(1)
    equal = np.column_stack([np.zeros((60, 2)), chance.normal(1, 0.1, (60, 2))])
    slower = equal * [1, 1, 1.5, 1]
    assert breaks_ranks(slower, 2)
    assert not breaks_ranks(equal, 2)
    assert not breaks_ranks(equal, 0)
    assert not breaks_threshold(equal, 0)
    unlucky = equal.copy()
    unlucky[7, 0] = 0.06
    assert breaks_threshold(unlucky, 0)
    assert not breaks_threshold(unlucky, 1)
    assert not breaks_ranks(unlucky, 0)
