import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from include.evaluation.ranking import Ranking


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_the_area_is_that_of_scikit_learn_with_and_without_ties(levels):
    chance = np.random.default_rng(levels)
    scores, positive = chance.integers(levels, size=300) / levels, chance.random(300) < 0.3
    weights = chance.integers(0, 4, size=(4, 300)).astype(float)
    found = Ranking.sort(scores, positive).measure(weights)
    assert found == pytest.approx([roc_auc_score(positive, scores, sample_weight=one) for one in weights])


def test_a_small_case_by_hand():
    # Pairs of a positive and another: 0.9 > 0.4, 0.9 > 0.1, 0.4 = 0.4, 0.4 > 0.1.
    ranking = Ranking.sort(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    assert ranking.measure(np.ones((1, 4))) == pytest.approx([3.5 / 4])
    assert ranking.measure(np.array([[1.0, 0, 1, 0], [0, 2, 3, 0]])) == pytest.approx([1.0, 0.5])


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
def test_one_class_alone_has_no_area(weights):
    area = Ranking.sort(np.array([0.2, 0.8]), np.array([False, True])).measure(np.array([weights]))
    assert np.isnan(area).all()
