import numpy as np
import pytest

from include.monitoring.causes import explain_by_new_class, explain_by_priors
from include.monitoring.observations import Sample
from include.monitoring.shift import Shift

CLASSES = ("a", "b", "c")
# How far the classes lie apart; scores of this factor are right.
CLEAR = 1.5
random = np.random.default_rng(12)


def draw(counts, strange=0):
    labels = np.repeat(np.arange(3), counts)
    seen = np.eye(3)[labels] * CLEAR + random.normal(size=(len(labels), 3))
    seen[:strange] -= 12
    scores = np.exp(CLEAR * (seen - seen.max(axis=1, keepdims=True)))
    return Sample(random.normal(0.5, 0.1, (len(labels), 1)), seen, scores / scores.sum(axis=1, keepdims=True)), labels


def compare(window):
    return Shift(window, *draw((60, 60, 60)), ["brightness"])


def test_other_shares_are_estimated_and_worth_something():
    found = explain_by_priors(compare(draw((10, 20, 120))[0]), CLASSES)
    assert found.cause == "class_prior"
    assert found.share > 0.7
    assert list(found.priors.values()) == pytest.approx([0.07, 0.13, 0.8], abs=0.1)
    assert sum(found.priors.values()) == pytest.approx(1)
    assert found.attainable > found.accuracy > 0.5
    assert found.name.startswith("classes: a, ")
    assert "(was 33%)" in found.evidence


def test_the_same_shares_explain_nothing_of_a_new_class():
    shift = compare(draw((50, 50, 50), strange=30)[0])
    new = explain_by_new_class(shift, 0.9)
    assert new.share > 0.7
    assert new.accuracy == pytest.approx(0.9 * 0.8, abs=0.06)
    assert new.share > explain_by_priors(shift, CLASSES).share


def test_where_everything_is_new_it_is_no_new_class():
    assert explain_by_new_class(compare(draw((50, 50, 50), strange=140)[0]), 0.9).share == 0


def test_a_handful_is_no_class():
    assert explain_by_new_class(compare(draw((2, 1, 1))[0]), 0.9).share == 0
