import numpy as np
import pytest

from include.monitoring.label_shift import adjust, estimate_priors

MEANS = np.array([-1.5, 0.0, 2.0])
KNOWN = np.array([0.5, 0.3, 0.2])


def answer(values: np.ndarray) -> np.ndarray:
    """What a model that is right about the known shares says of numbers around the means."""
    likelihood = np.exp(-((values[:, None] - MEANS) ** 2) / 2) * KNOWN
    return likelihood / likelihood.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.1, 0.1, 0.8), (0.0, 1.0, 0.0)])
def test_the_shares_are_found_without_a_label(shares):
    random = np.random.default_rng(2)
    labels = random.choice(3, 4000, p=shares)
    found = estimate_priors(answer(MEANS[labels] + random.normal(size=4000)), KNOWN)
    assert found == pytest.approx(shares, abs=0.05)
    assert found.sum() == pytest.approx(1)


def test_adjusted_answers_are_right_more_often():
    random = np.random.default_rng(3)
    labels = random.choice(3, 2000, p=(0.05, 0.15, 0.8))
    probabilities = answer(MEANS[labels] + random.normal(size=2000))
    ratios = estimate_priors(probabilities, KNOWN) / KNOWN
    before, after = ((one.argmax(axis=1) == labels).mean() for one in (probabilities, adjust(probabilities, ratios)))
    assert after > before + 0.01


def test_one_image_and_certain_answers_are_no_trouble():
    certain = np.array([[1.0, 0.0, 0.0]])
    assert estimate_priors(certain, KNOWN) == pytest.approx([1, 0, 0])
    assert adjust(certain, np.zeros(3)).tolist() == [[0, 0, 0]]
