"""What counts as right is checked on answers made up; the real thing runs in test_serving_ground.py."""

import dataclasses

import pytest

from benchmarks.open_loop import Answer
from benchmarks.serving_ground import Switch
from benchmarks.swap_load import assess

CONFIDENCES = {"old": 0.9, "new": 0.8}
# The old one answers from the beginning; the new one from 11 at the earliest, and from 12 on nobody else.
SWITCHES = [Switch("old", 0, 0, 1), Switch("new", 10, 11, 12)]


def answered(release, due, ended, confidence=None):
    return Answer(due, ended, "id", release, CONFIDENCES[release] if confidence is None else confidence)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (answered("old", 5, 5.1), 0),
        (answered("old", 11.5, 11.6), 0),
        (answered("old", 11.9, 12.3), 0),
        (answered("old", 12.1, 12.2), 1),
        (answered("new", 11.1, 11.2), 0),
        (answered("new", 10.8, 11.1), 0),
        (answered("new", 10.8, 10.9), 1),
        (answered("new", 13, 13.1), 0),
        (answered("new", 13, 13.1, CONFIDENCES["old"]), 1),
    ],
)
def test_an_answer_is_right_when_it_was_its_releases_time_and_says_what_that_release_says(answer, wrong):
    assert assess([answer], SWITCHES, CONFIDENCES).wrong == wrong


def test_failures_count_wherever_they_happen_and_latencies_are_told_apart():
    steady = [answered("old", 5 + number, 5.010 + number) for number in range(3)]
    during = [answered("new", 11.5, 11.530)]
    failed = [Answer(11.2, 11.3, failure="503"), Answer(3, 3, failure="ReadError")]
    found = assess([*steady, *during, *failed], SWITCHES, CONFIDENCES)
    assert (found.requests, found.failed, found.wrong, found.in_switches, found.swaps) == (6, 2, 0, 1, 1)
    assert found.steady_p99 == pytest.approx(10)
    assert found.switch_p99 == pytest.approx(30)
    assert not found.kept


def test_green_means_that_nothing_failed_and_latency_stayed():
    quiet = [answered("old", 5, 5.010), answered("new", 11.5, 11.515)]
    found = assess(quiet, SWITCHES, CONFIDENCES)
    assert found.kept
    assert not dataclasses.replace(found, wrong=1).kept
    assert not dataclasses.replace(found, switch_p99=21).kept
    assert not assess([], SWITCHES, CONFIDENCES).kept
