import numpy as np
import pytest

from include.monitoring.dead_pixels import find_dead_pixels
from include.monitoring.faults import damage

CHANCE = np.random.default_rng(8)
STUCK = [(3, 5), (20, 11), (9, 30)]


def photograph(count: int, *, dead: bool, side: int = 32) -> list[np.ndarray]:
    images = CHANCE.integers(0, 100, (count, side, side, 3), dtype=np.uint8)
    for y, x in STUCK if dead else ():
        images[:, y, x] = 250
    return list(images)


def test_stuck_pixels_are_found_where_they_are():
    fault = find_dead_pixels(photograph(20, dead=True), photograph(20, dead=False))
    assert fault is not None
    (after,) = damage([np.zeros((32, 32, 3), np.uint8)], [fault])
    assert {(int(y), int(x)) for y, x in np.argwhere(after.any(axis=2))} == set(STUCK)
    assert (after[3, 5] == 250).all()


def test_what_was_there_before_is_no_fault():
    assert find_dead_pixels(photograph(20, dead=True), photograph(20, dead=True)) is None


@pytest.mark.parametrize(
    "images", [[], photograph(7, dead=True), [*photograph(9, dead=True), *photograph(9, dead=True, side=40)]]
)
def test_too_little_to_tell_is_none(images):
    assert find_dead_pixels(images, photograph(20, dead=False)) is None


def test_healthy_images_have_none_and_nothing_before_is_needed():
    assert find_dead_pixels(photograph(20, dead=False), []) is None
    assert find_dead_pixels(photograph(20, dead=True), []) is not None
