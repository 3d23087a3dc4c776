import sys
import types
from dataclasses import replace
from math import log

import numpy as np
import pytest

from include.errors import ContractViolationError
from include.evaluation.measures import load_measures, measure_answers


def test_values_by_hand(answers):
    measures = measure_answers(answers, ())
    by_hand = {
        "accuracy": 4 / 6,
        "balanced_accuracy": (1 / 2 + 1 + 1 / 2) / 3,
        "worst_class_recall": 1 / 2,
        "precision_a": 1 / 2, "precision_b": 2 / 3, "precision_c": 1.0,
        "recall_a": 1 / 2, "recall_b": 1.0, "recall_c": 1 / 2,
        "f1_a": 1 / 2, "f1_b": 0.8, "f1_c": 2 / 3,
        "macro_precision": (1 / 2 + 2 / 3 + 1) / 3,
        "macro_recall": 2 / 3,
        "macro_f1": (1 / 2 + 0.8 + 2 / 3) / 3,
        "weighted_precision": (1 / 2 + 2 / 3 + 1) / 3,
        "weighted_recall": 2 / 3,
        "weighted_f1": (1 / 2 + 0.8 + 2 / 3) / 3,
        "log_loss": -(log(0.8) + log(0.3) + log(0.7) + log(0.9) + log(0.4) + log(0.8)) / 6,
        # a: of 2 x 4 pairs, 0.3 loses to 0.5 alone. b: 0.7 and 0.9 beat all. c: 0.4 and 0.8 beat all.
        "auc_roc": (7 / 8 + 1 + 1) / 3,
        # Bins of a fifteenth: 0.5, 0.6 and 0.9 alone, 0.7 alone, 0.8 twice; the first two are wrong.
        "calibration_error": (0.5 + 0.6 + 0.3 + 2 * 0.2 + 0.1) / 6,
        "expected_cost": (0 + 0.5 + 0 + 0 + 10 + 0) / 6,
    }  # fmt: skip
    assert measures == pytest.approx(by_hand, abs=1e-6)


def test_classes_of_different_sizes_weigh_differently(answers):
    fewer = replace(answers, labels=list("aabbbc"), predicted=list("abbbac"))
    measures = measure_answers(fewer, ())
    assert measures["macro_recall"] == measures["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert measures["weighted_recall"] == pytest.approx(4 / 6)


def test_a_champion_of_other_classes_is_measured_too(answers):
    gone = replace(
        answers, predicted=list("abbbzc"), probabilities=answers.probabilities * [[1], [1], [1], [1], [0], [1]]
    )
    measures = measure_answers(gone, ())
    assert measures["accuracy"] == pytest.approx(4 / 6)
    assert measures["expected_cost"] == pytest.approx((0.5 + 1) / 6)
    surprise = -log(np.finfo(np.float32).eps)
    others = -(log(0.8) + log(0.3) + log(0.7) + log(0.9) + log(0.8))
    assert measures["log_loss"] == pytest.approx((others + surprise) / 6, rel=1e-5)


def test_measures_agree_with_the_totals_that_models_are_compared_by(answers):
    from include.evaluation.totals import MEASURES, Totals, split_answers

    index = [answers.classes.index(name) for name in (*answers.labels, *answers.predicted)]
    parts = split_answers(np.array(index[:6]), np.array(index[6:]), answers.probabilities, answers.costs)
    totals = Totals.weigh(parts, np.ones((1, 6)))
    measures = measure_answers(answers, ())
    assert {name: of(totals).item() for name, (_, of) in MEASURES.items()} == pytest.approx(
        {name: measures[name] for name in MEASURES}, abs=1e-6
    )


@pytest.fixture
def own_measures(monkeypatch):
    module = types.ModuleType("own_measures")
    module.sure_misses = lambda answers: float((~answers.right & (answers.probabilities.max(axis=1) > 0.55)).mean())
    module.nothing = lambda _: float("nan")
    module.accuracy = lambda _: 1.0
    monkeypatch.setitem(sys.modules, "own_measures", module)


@pytest.mark.usefixtures("own_measures")
def test_a_measure_of_the_projects_own_stands_beside_the_others(answers):
    assert measure_answers(answers, ["own_measures:sure_misses"])["sure_misses"] == pytest.approx(1 / 6)


@pytest.mark.usefixtures("own_measures")
@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        ("own_measures:absent", "no 'own_measures:absent'"),
        ("no_such_module:measure", "no 'no_such_module:measure'"),
        ("own_measures", "write `module:function`"),
        (":measure", "write `module:function`"),
        ("own_measures:accuracy", "takes the name of another measure, accuracy"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_named(plugin, says):
    with pytest.raises(ContractViolationError, match=says):
        load_measures([plugin])


@pytest.mark.usefixtures("own_measures")
def test_a_measure_is_not_taken_twice():
    with pytest.raises(ContractViolationError, match="takes the name"):
        load_measures(["own_measures:sure_misses"] * 2)


@pytest.mark.usefixtures("own_measures")
def test_what_is_no_number_is_no_evidence(answers):
    with pytest.raises(ContractViolationError, match="'nothing': nan"):
        measure_answers(answers, ["own_measures:nothing"])
