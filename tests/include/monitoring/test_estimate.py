import numpy as np
import pytest

from include.monitoring.estimate import Reference, estimate_accuracy

CLASSES = 10


def draw(answers: int, seed: int, overconfidence: float = 1.0) -> Reference:
    """Answers that are right as often as they say to the power given."""
    chance = np.random.default_rng(seed)
    confidence = chance.beta(6, 1.5, answers)
    return Reference(confidence, chance.random(answers) < confidence**overconfidence)


@pytest.mark.parametrize("overconfidence", [1.0, 4.0])
def test_the_interval_holds_the_truth_whether_or_not_the_network_is_too_sure(overconfidence):
    held, off = 0, []
    for seed in range(100):
        reference, window = draw(500, seed, overconfidence), draw(200, seed + 1000, overconfidence)
        found = estimate_accuracy(reference, window.confidence, np.zeros(200), CLASSES)
        held += found.low <= window.right.mean() <= found.high
        off.append(abs(found.accuracy - window.right.mean()))
    assert held >= 90
    assert np.mean(off) < 0.03


def test_of_odd_images_nothing_is_known():
    reference, window = draw(500, 1), draw(200, 2)
    odd = np.where(np.arange(200) < 100, 5.0, 0.0)
    plain = estimate_accuracy(reference, window.confidence, np.zeros(200), CLASSES)
    found = estimate_accuracy(reference, window.confidence, odd, CLASSES)
    assert found.accuracy == pytest.approx(plain.accuracy / 2 + 0.5 / CLASSES, abs=0.05)
    assert found.low < plain.low / 2 + 0.05
    assert found.high == pytest.approx(plain.high, abs=0.02)


def test_a_reference_without_a_mistake_does_not_make_certain():
    reference = Reference(np.linspace(0.9, 1, 60), np.ones(60, bool))
    found = estimate_accuracy(reference, np.full(1000, 0.95), np.zeros(1000), CLASSES)
    assert found.accuracy == 1
    assert 0.8 < found.low < 0.97
    assert found.high == 1


@pytest.mark.parametrize("window", [1, 2])
def test_few_answers_and_a_reference_of_one_give_a_wide_interval(window):
    found = estimate_accuracy(Reference(np.array([0.5]), np.array([True])), np.full(window, 0.5), np.zeros(window), 2)
    assert 0 <= found.low <= found.accuracy <= found.high <= 1
    assert found.high - found.low > 0.3
