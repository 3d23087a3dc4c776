"""What counts is checked on answers made up; the shadow itself is asked for in the benchmark alone, for minutes."""

import dataclasses

from benchmarks.open_loop import Answer
from benchmarks.shadow_cost import Turn, assess

TURNS = [Turn(False, 1, 2), Turn(True, 3, 4)]


def answered(due, milliseconds, confidence=0.9):
    return Answer(due, due + milliseconds / 1000, "id", "champion", confidence)


def test_each_turn_counts_its_own_requests_and_those_between_turns_count_for_neither():
    found = assess([answered(1.5, 10), answered(2.5, 500), answered(3.5, 10.5)], TURNS, 1)
    assert (round(found.p99, 6), round(found.shadow_p99, 6), found.requests) == (10, 10.5, 3)
    assert found.kept


def test_it_fails_where_the_shadow_is_felt_shows_or_never_was():
    good = assess([answered(1.5, 10), answered(3.5, 10)], TURNS, 1)
    assert not dataclasses.replace(good, shadow_p99=11.5).kept
    assert not dataclasses.replace(good, compared=0).kept
    assert not assess([answered(1.5, 10), answered(3.5, 10, confidence=0.9000001)], TURNS, 1).kept
    assert not assess([*[answered(1.5, 10), answered(3.5, 10)], Answer(1.6, 1.7, failure="503")], TURNS, 1).kept
    assert not assess([], TURNS, 1).kept
