import pytest

from benchmarks.promotion_evidence import POLICIES, try_pairs


@pytest.mark.parametrize(("gain", "promoted"), [(0.0, range(3)), (0.08, range(18, 21))])
def test_significance_keeps_equal_models_out_and_lets_a_much_better_one_in(gain, promoted):
    outcomes = try_pairs(images=400, gain=gain, pairs=20)
    assert outcomes.covered >= 16
    assert outcomes.promoted["significance"] in promoted
    assert outcomes.promoted["point"] >= outcomes.promoted["significance"]
    assert outcomes.promoted["significance"] + outcomes.undecided == outcomes.promoted["point"]
    assert set(outcomes.promoted) == set(POLICIES)
