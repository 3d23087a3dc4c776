import numpy as np
import pytest

from include.monitoring.kernel_means import KernelSpace, chance_of_shift, explained_share, noise_floor


@pytest.fixture
def chance():
    return np.random.default_rng(1)


def place(reference, *others):
    space = KernelSpace([reference])
    return [space.place([one]) for one in (reference, *others)]


def test_two_samples_of_one_world_differ_by_chance_only():
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        reference, window = place(random.normal(size=(80, 3)), random.normal(size=(50, 3)))
        found.append(chance_of_shift(window, reference))
    assert np.mean(np.array(found) <= 0.1) <= 0.25
    assert 0.3 < np.mean(found) < 0.7


def test_another_world_is_no_chance(chance):
    reference, window = place(chance.normal(size=(80, 3)), chance.normal(1.0, size=(50, 3)))
    assert chance_of_shift(window, reference) <= 0.01


def test_the_floor_is_what_chance_alone_makes():
    lengths, floors = [], []
    for seed in range(30):
        random = np.random.default_rng(seed)
        first, second = place(random.normal(size=(60, 2)), random.normal(size=(90, 2)))
        lengths.append(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
        floors.append(noise_floor(first, second))
    assert np.mean(lengths) == pytest.approx(np.mean(floors), rel=0.3)


def test_a_direction_explains_itself_and_not_another():
    seen, other = np.array([2.0, 0.0]), np.array([0.0, 1.0])
    assert explained_share(seen, seen, 0.0, 0.0) == pytest.approx((1.0, 1.0))
    assert explained_share(seen, 2 * seen, 0.0, 0.0) == pytest.approx((1.0, 0.5))
    assert explained_share(seen, other, 0.0, 0.0) == pytest.approx((0.0, 0.0))
    assert explained_share(seen, -seen, 0.0, 0.0) == pytest.approx((0.0, 0.0))
    assert explained_share(seen, 0 * seen, 0.0, 0.0)[0] == pytest.approx(0.0)


def test_what_is_left_by_chance_counts_as_explained():
    assert explained_share(np.array([2.0, 0.5]), np.array([2.0, 0.0]), 0.25, 0.0)[0] == pytest.approx(1.0)


def test_a_constant_reference_is_no_trouble(chance):
    reference, window = place(np.ones((20, 2)), chance.normal(size=(20, 2)))
    assert np.isfinite(reference).all()
    assert chance_of_shift(window, reference) <= 0.01
