"""Every class of hostile files comes to its right end, and nothing that is clean is refused."""

from collections import Counter

import pytest

from benchmarks.hostile_corpus import CLEAN, Outcome, main
from benchmarks.hostile_files import ANYTHING, CLASSES, make_clean


def test_every_class_comes_to_its_right_end(capsys):
    outcomes = main(["--hostile", str(2 * len(CLASSES)), "--clean", "20"])
    assert {kind: outcome.wrong for kind, outcome in outcomes.items()} == dict.fromkeys([*CLASSES, CLEAN], 0)
    assert sum(outcomes[CLEAN].got.values()) == 20
    assert "0 with a wrong end, 0 without one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "wrong"),
    [
        (Outcome("truncated", Counter(truncated=2, accepted=1)), 1),
        (Outcome("accepted", Counter(accepted=2), leaks=1), 1),
        (Outcome(ANYTHING, Counter(accepted=2, truncated=1, decoder_crashed=1)), 1),
        (Outcome(ANYTHING, Counter(accepted=2, decoder_timeout=2)), 2),
    ],
)
def test_counts_what_came_to_a_wrong_end(outcome, wrong):
    assert outcome.wrong == wrong


def test_a_corpus_is_the_same_every_time():
    for kind, (_, make) in CLASSES.items():
        assert make(make_clean(3)) == make(make_clean(3)), kind
