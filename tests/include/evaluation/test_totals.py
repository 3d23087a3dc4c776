import numpy as np
import pytest
from sklearn import metrics

from include.evaluation.totals import Totals, list_measures, split_answers, tabulate_costs

CLASSES = ("a", "b", "c")
COSTS = tabulate_costs({"a": {"b": 5.0}, "c": {"c": -1.0}}, CLASSES)


@pytest.fixture
def answers():
    """True classes, answers and probabilities, float32 as they are kept, of a model that is often wrong."""
    chance = np.random.default_rng(3)
    probabilities = chance.dirichlet([0.7] * 3, 200).astype(np.float32)
    return chance.integers(3, size=200), probabilities.argmax(axis=1), probabilities


def measure(answers, weights):
    true, predicted, probabilities = answers
    totals = Totals.weigh(split_answers(true, predicted, probabilities.astype(np.float64), COSTS), weights)
    return {name: values(totals) for name, (_, values) in list_measures(CLASSES).items()}


EXPECTED = {
    "accuracy": lambda true, said, _, weight: metrics.accuracy_score(true, said, sample_weight=weight),
    "balanced_accuracy": lambda true, said, _, weight: metrics.balanced_accuracy_score(
        true, said, sample_weight=weight
    ),
    "log_loss": lambda true, _, probabilities, weight: metrics.log_loss(
        true, probabilities, sample_weight=weight, labels=[0, 1, 2]
    ),
    "worst_class_recall": lambda true, said, _, weight: metrics.recall_score(
        true, said, sample_weight=weight, average=None
    ).min(),
}
EXPECTED["auc_roc"] = lambda true, _, probabilities, weight: np.mean(
    [metrics.roc_auc_score(true == one, probabilities[:, one], sample_weight=weight) for one in range(3)]
)
for name in ("precision", "recall", "f1"):
    for average in ("macro", "weighted"):
        EXPECTED[f"{average}_{name}"] = lambda true, said, _, weight, name=name, average=average: getattr(
            metrics, f"{name}_score"
        )(true, said, sample_weight=weight, average=average, labels=[0, 1, 2], zero_division=0.0)
for name in ("precision", "recall", "f1"):
    for index, label in enumerate(CLASSES):
        EXPECTED[f"{name}_{label}"] = lambda true, said, _, weight, name=name, index=index: getattr(
            metrics, f"{name}_score"
        )(true, said, sample_weight=weight, average=None, labels=[0, 1, 2])[index]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_resample_measures_what_scikit_learn_does(answers, name):
    weights = np.random.default_rng(4).integers(0, 4, size=(5, 200)).astype(float)
    measured = measure(answers, weights)[name]
    assert measured == pytest.approx([EXPECTED[name](*answers, weight) for weight in weights], abs=1e-6)


def test_the_cost_of_answers_and_their_calibration_by_hand():
    true, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2])
    probabilities = np.array([[0.9, 0.05, 0.05], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0], [0.3, 0.3, 0.4]])
    measured = measure((true, predicted, probabilities), np.ones((1, 4)))
    assert measured["expected_cost"] == pytest.approx((0 + 5 + 1 - 1) / 4)
    # Bins (0.867, 0.933]: sure by 1.8 of 1 hit; (0.933, 1]: by 1 of none; (0.333, 0.4]: by 0.4 of 1.
    assert measured["calibration_error"] == pytest.approx((0.8 + 1.0 + 0.6) / 4)


def test_an_answer_that_is_no_class_any_more_is_wrong_and_costs_one():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    measured = measure((np.array([0, 0]), np.array([0, 3]), probabilities), np.ones((1, 2)))
    assert (measured["accuracy"], measured["expected_cost"]) == (0.5, 0.5)


def test_a_resample_without_a_class_measures_the_others(answers):
    weights = (answers[0] != 1).astype(float)[None]
    measured = measure(answers, weights)
    assert all(np.isfinite(values).all() for values in measured.values())
    assert measured["worst_class_recall"] > 0
