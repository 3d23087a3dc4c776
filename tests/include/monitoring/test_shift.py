import numpy as np
import pytest

from include.monitoring.observations import Sample
from include.monitoring.shift import Shift

NAMES = ("brightness", "contrast")


@pytest.fixture
def random():
    return np.random.default_rng(9)


@pytest.fixture
def draw(random):
    """Give a function that draws images of three classes, so many of each."""

    def run(counts, moved=0.0):
        labels = np.repeat(np.arange(3), counts)
        seen = np.eye(3)[labels] * 5 + random.normal(size=(len(labels), 3)) + moved
        return Sample(random.normal(0.5, 0.1, (len(labels), 2)) + moved, seen, np.eye(3)[labels]), labels

    return run


def test_the_same_world_is_no_shift(draw):
    window, _ = draw((50, 50, 50))
    assert Shift(window, *draw((60, 60, 60)), NAMES).p_value > 0.01


def test_a_move_of_every_image_explains_itself(draw):
    (window, _), (reference, labels) = draw((50, 50, 50), moved=1.0), draw((60, 60, 60))
    shift = Shift(window, reference, labels, NAMES)
    made = shift.place(Sample(reference.statistics + 1, reference.seen + 1, reference.probabilities))
    made = made - shift.place(reference)
    noise = made.var(axis=0).sum() / len(made)
    explained, affected = shift.explain(made.mean(axis=0), noise)
    assert shift.p_value <= 0.01
    assert explained > 0.9
    assert affected > 0.9
    assert shift.explain(*shift.reweigh(np.array([0.2, 0.2, 2.6])))[0] < 0.5


def test_other_shares_explain_themselves(draw):
    (window, _), (reference, labels) = draw((120, 20, 10)), draw((60, 60, 60))
    shift = Shift(window, reference, labels, NAMES)
    explained, affected = shift.explain(*shift.reweigh(np.array([2.4, 0.4, 0.2])))
    assert explained > 0.8
    assert affected > 0.8
    assert shift.explain(*shift.reweigh(np.array([0.2, 0.4, 2.4])))[0] < 0.1


def test_new_images_are_found_and_the_rest_is_as_ever(draw, random):
    (window, _), (reference, labels) = draw((40, 40, 40)), draw((60, 60, 60))
    strange = Sample(window.statistics[:30], random.normal(-8, 1, (30, 3)), window.probabilities[:30])
    both = Sample(*(np.vstack(pair) for pair in zip(vars(window).values(), vars(strange).values(), strict=True)))
    shift = Shift(both, reference, labels, NAMES)
    new, portion = shift.find_new()
    assert new[-30:].all()
    assert portion == pytest.approx(0.2, abs=0.06)
    assert shift.without(new) > 0.8
    assert shift.without(np.ones(150, bool)) == 0
    assert set(np.argsort(-shift.witness())[:20]) <= set(range(120, 150))
