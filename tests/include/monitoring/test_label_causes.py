import numpy as np
import pytest

from include.monitoring.label_causes import explain_by_labels
from include.monitoring.observations import Sample

CLASSES = ("a", "b", "c", "d")
CERTIFIED = 0.97


@pytest.fixture
def answered():
    """120 images of four classes in clusters, all answered right."""
    random = np.random.default_rng(6)
    truth = random.integers(0, 4, 120)
    seen = np.eye(4)[truth] * 4 + random.normal(0, 0.5, (120, 4))
    return Sample(np.zeros((120, 1)), seen, np.eye(4)[truth] * 0.9 + 0.025), truth


def explain(sample, labels, expected=CERTIFIED):
    return {one.cause: one for one in explain_by_labels(sample, labels, CLASSES, CERTIFIED, expected)}


def test_right_labels_say_nothing(answered):
    sample, truth = answered
    assert explain(sample, truth) == {}


def test_random_labels_are_noise(answered):
    sample, truth = answered
    random = np.random.default_rng(1)
    wrong = np.where(random.random(120) < 0.35, (truth + random.integers(1, 4, 120)) % 4, truth)
    found = explain(sample, wrong)
    assert found["label_noise"].share > 0.7 > 0.3 > found["concept_change"].share
    assert found["label_noise"].accuracy == CERTIFIED


def test_renamed_classes_are_a_new_concept(answered):
    sample, truth = answered
    found = explain(sample, np.array([1, 0, 2, 3])[truth])
    assert found["concept_change"].share > 0.9
    assert found["concept_change"].name in {"labels: a is now b, b is now a", "labels: b is now a, a is now b"}
    assert found["concept_change"].attainable > 0.9


def test_a_class_that_falls_apart_is_learned_from_the_looks(answered):
    sample, truth = answered
    split = np.where((truth == 0) & (sample.seen[:, 1] > 0), 3, truth)
    seen = sample.seen + 3 * np.eye(4)[1] * (split != truth)[:, None]
    assert explain(Sample(sample.statistics, seen, sample.probabilities), split)["concept_change"].share > 0.7


def test_what_the_images_explain_the_labels_need_not(answered):
    sample, truth = answered
    labels = np.array([1, 0, 2, 3])[truth]
    assert explain(sample, labels, expected=0.5)["concept_change"].share < 0.2


def test_a_label_that_is_no_class_is_no_error(answered):
    sample, truth = answered
    found = explain(sample, np.where(truth == 2, -1, truth))
    assert found["concept_change"].name == "labels: a label that is no class"


@pytest.mark.parametrize("count", [0, 1, 19])
def test_few_labels_say_nothing(answered, count):
    sample, truth = answered
    few = sample.take(np.arange(120) < count)
    assert explain(few, (truth[:count] + 1) % 4) == {}
