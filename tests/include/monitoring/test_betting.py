import math

import numpy as np
import pytest

from include.monitoring.betting import TOLERANCE, weigh_classes, weigh_numbers, weigh_vectors

ALPHA = 0.05
STREAMS = 300
# One side of a proportion, two standard errors.
LIMIT = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / STREAMS)
SURE = math.log(30_000)


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("answers", [50, 5_000])
@pytest.mark.parametrize("images", [30, 300])
def test_healthy_windows_of_any_size_are_rarely_unlikely(chance: np.random.Generator, images: int, answers: int):
    draws = ((chance.normal(size=images), chance.normal(size=answers)) for _ in range(STREAMS))
    unlikely = [weigh_numbers(*draw) >= math.log(1 / ALPHA) for draw in draws]
    assert np.mean(unlikely) <= LIMIT


def test_the_largest_difference_that_matters_to_nobody_is_no_evidence(chance: np.random.Generator):
    reference = np.arange(4_000) / 4_000
    # Its mean rank is exactly the tolerance above one half.
    draws = (chance.random(1_000) ** ((0.5 - TOLERANCE) / (0.5 + TOLERANCE)) for _ in range(STREAMS))
    assert np.mean([weigh_numbers(reference, draw) >= math.log(1 / ALPHA) for draw in draws]) <= LIMIT


@pytest.mark.parametrize("answers", [200, 2_000, 20_000])
def test_a_small_difference_is_not_found_by_looking_at_more(chance: np.random.Generator, answers: int):
    assert weigh_numbers(chance.normal(size=1_000), chance.normal(0.08, size=answers)) < 0


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values + 2,
        lambda values: values - 2,
        lambda values: values * 4,
        lambda values: values / 5,
        lambda values: np.where(np.arange(len(values)) % 2, values, 9),
        lambda values: np.where(np.arange(len(values)) % 2, values, -9),
    ],
    ids=["higher", "lower", "wider", "narrower", "some above", "some below"],
)
def test_every_kind_of_change_is_found_in_a_window_of_60(chance: np.random.Generator, change):
    assert weigh_numbers(chance.normal(size=300), change(chance.normal(size=60))) > SURE


def test_a_constant_is_no_evidence_and_one_that_moved_is():
    same = np.full(200, 0.5)
    assert weigh_numbers(same, same) < 0
    assert weigh_numbers(same, same + 1e-9) > SURE


def test_a_reference_of_one_image_proves_nothing():
    assert weigh_numbers(np.array([0.5]), np.full(5_000, 9.0)) < 1
    assert weigh_classes(["a"], ["b"] * 5_000) < 1
    assert weigh_vectors(np.zeros((1, 3), np.float32), np.ones((5_000, 3), np.float32))[0] < 1


def test_shares_of_classes(chance: np.random.Generator):
    names = np.array(list("abcdefghij"))
    reference = chance.choice(names, 300).tolist()
    healthy = [weigh_classes(reference, chance.choice(names, 500).tolist()) for _ in range(STREAMS)]
    assert np.mean(np.array(healthy) >= math.log(1 / ALPHA)) <= LIMIT
    assert weigh_classes(reference, ["a"] * 100 + reference[:100]) > SURE
    assert weigh_classes(reference, chance.choice(names, 180).tolist() + ["never seen"] * 60) > SURE
    # Names that were made up one by one are one kind: something else.
    assert weigh_classes(reference, reference[:120] + [f"made up {index}" for index in range(80)]) > SURE
    assert weigh_classes(["a"] * 100 + ["b"] * 100, ["a"] * 100) > SURE


@pytest.mark.parametrize(("images", "answers"), [(60, 200), (300, 1_000)])
def test_healthy_vectors_are_rarely_unlikely(chance: np.random.Generator, images: int, answers: int):
    streams = 50
    draws = (
        [chance.normal(size=(count, 16)).astype(np.float32) for count in (images, answers)] for _ in range(streams)
    )
    unlikely = [weigh_vectors(*draw)[0] >= math.log(1 / ALPHA) for draw in draws]
    assert np.mean(unlikely) <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / streams)


def test_vectors_whose_numbers_are_alike_one_by_one_are_told_apart(chance: np.random.Generator):
    """Every number is standard normal on both sides; only how two of them hang together differs."""
    reference, window = (chance.normal(size=(count, 2)).astype(np.float32) for count in (1_000, 1_000))
    window[:, 1] = window[:, 0]
    assert all(weigh_numbers(*(side[:, axis].astype(float) for side in (reference, window))) < 0 for axis in (0, 1))
    log_e, ranks = weigh_vectors(reference, window)
    assert log_e > SURE
    assert ranks.shape == (1_000,)
    assert (ranks.min() >= 0, ranks.max() <= 1, ranks.mean() > 0.55) == (True, True, True)


@pytest.mark.parametrize(("classes", "images"), [(100, 300), (1_000, 2_000)])
def test_classes_that_the_reference_lacks_by_chance_are_no_drift(
    chance: np.random.Generator, classes: int, images: int
):
    draws = ([chance.integers(classes, size=size).astype(str).tolist() for size in (images, 5_000)] for _ in range(30))
    assert max(weigh_classes(*draw) for draw in draws) < math.log(1 / ALPHA)


def test_what_many_classes_gain_together_is_found(chance: np.random.Generator):
    classes = [str(number) for number in range(30)]
    reference, healthy = (chance.choice(classes, size).tolist() for size in (1_000, 300))
    assert weigh_classes(reference, healthy) < 0
    # Each of ten classes grows by less than a single class may.
    assert weigh_classes(reference, chance.choice(classes[:10], 300).tolist()) > SURE
    assert weigh_classes(reference, chance.choice(classes[:10] * 2 + classes[10:], 300).tolist()) < SURE


@pytest.mark.parametrize("distance", [1e4, 1e-4])
def test_vectors_of_any_unit(chance: np.random.Generator, distance: float):
    reference, window = (chance.normal(size=(300, 8)).astype(np.float32) * np.float32(distance) for _ in range(2))
    assert weigh_vectors(reference, window)[0] < 0
    assert weigh_vectors(reference, window + np.float32(2 * distance))[0] > SURE


def test_vectors_that_are_all_the_same_are_no_evidence():
    same = np.ones((200, 8), np.float32)
    assert weigh_vectors(same, same)[0] <= 0
    assert weigh_vectors(same, same + 1)[0] > SURE


def test_one_answer_is_too_few_to_learn_from():
    log_e, ranks = weigh_vectors(np.ones((100, 4), np.float32), np.zeros((1, 4), np.float32))
    assert (log_e, ranks.tolist()) == (0.0, [0.5])
