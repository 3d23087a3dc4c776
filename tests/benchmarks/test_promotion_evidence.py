import pytest

from benchmarks.promotion_evidence import POLICIES, try_pairs


@pytest.mark.parametrize(("gain", "promoted"), [(0.0, range(3)), (0.08, range(18, 21))])
def test_the_default_keeps_equal_models_out_and_lets_a_much_better_one_in(gain, promoted):
    outcomes = try_pairs(images=400, gain=gain, pairs=20)
    assert outcomes.covered >= 16
    assert outcomes.promoted["default"] in promoted
    assert outcomes.promoted["point"] >= outcomes.promoted["default"]
    assert outcomes.promoted["default"] + outcomes.undecided == outcomes.promoted["point"]
    assert set(outcomes.promoted) == set(POLICIES)


def test_bursts_are_no_more_evidence_than_their_specimens():
    outcomes = try_pairs(images=400, gain=0.0, pairs=20, burst=4)
    assert outcomes.covered >= 16
    assert outcomes.promoted["default"] <= 2
