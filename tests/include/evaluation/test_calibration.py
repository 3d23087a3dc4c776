import numpy as np
import pytest

from include.evaluation.calibration import CALIBRATION_BINS, bin_confidence, measure_reliability


def test_a_bin_holds_its_upper_end():
    edges = np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0])
    assert bin_confidence(edges).tolist() == [0, 0, 1, 7, 14]


def test_error_by_hand():
    reliability = measure_reliability(np.array([0.9, 0.92, 0.6, 0.6]), np.array([True, False, True, True]))
    assert reliability.images.sum() == 4
    assert reliability.confidence[13] == pytest.approx(0.91)
    assert reliability.accuracy[13] == 0.5
    assert reliability.error == pytest.approx((2 * 0.41 + 2 * 0.4) / 4)


def test_a_calibrated_model_has_a_small_error_and_a_boaster_a_large_one():
    chance = np.random.default_rng(3)
    confidence = chance.uniform(0.3, 1, 20_000)
    right = chance.random(20_000) < confidence
    assert measure_reliability(confidence, right).error < 0.02
    assert measure_reliability(np.ones(20_000), right).error == pytest.approx(1 - right.mean())


def test_empty_bins_say_nothing_and_no_answers_are_refused():
    reliability = measure_reliability(np.array([1.0]), np.array([True]))
    assert reliability.images.tolist() == [0] * (CALIBRATION_BINS - 1) + [1]
    assert reliability.error == 0
    with pytest.raises(ValueError, match="no answers"):
        measure_reliability(np.array([]), np.array([], dtype=bool))
