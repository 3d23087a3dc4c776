import numpy as np
import pytest

from include.monitoring.faults import BLUR, KINDS, TURN, Fault, damage, list_faults, list_pairs, mask, order_faults

CHANCE = np.random.default_rng(4)
COARSE = np.kron(CHANCE.integers(0, 256, (8, 8, 3)), np.ones((6, 4, 1)))
PICTURE = np.clip(COARSE + CHANCE.normal(0, 3, COARSE.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("fault", list_faults(), ids=lambda fault: f"{fault.name} {fault.degree:g}")
def test_each_fault_changes_an_image_and_keeps_its_form(fault):
    before = PICTURE.copy()
    (after,) = damage([PICTURE], [fault])
    assert (after.shape, after.dtype) == (PICTURE.shape, np.uint8)
    assert not np.array_equal(after, PICTURE)
    assert np.array_equal(PICTURE, before)
    assert np.array_equal(damage([PICTURE], [fault])[0], after)


@pytest.mark.parametrize("image", [np.zeros((1, 1, 3), np.uint8), np.full((2, 9, 3), 255, np.uint8)])
def test_no_image_is_too_small(image):
    for fault in list_faults():
        assert damage([image], [fault])[0].shape == image.shape


@pytest.mark.parametrize("degrees", [-90, 90, 180])
def test_a_turn_is_counter_clockwise(degrees):
    square = PICTURE[:32, :32]
    turned = TURN.do(square, degrees)
    assert np.abs(turned.astype(int) - np.rot90(square, degrees // 90)).max() <= 1


def test_stronger_is_stronger_and_finer_lies_between():
    for kind in (BLUR, TURN):
        assert [one.degree for one in Fault(kind, kind.degrees[1]).finer(0.5)] == pytest.approx(
            [(kind.degrees[0] + kind.degrees[1]) / 2, (3 * kind.degrees[1] - kind.degrees[0]) / 2]
        )
    spread = [damage([PICTURE], [Fault(BLUR, degree)])[0].std() for degree in BLUR.degrees]
    assert spread == sorted(spread, reverse=True)
    (mirrored,) = (kind for kind in KINDS if kind.name == "mirrored")
    assert Fault(mirrored, 1.0).finer(0.5) == []


def test_the_camera_comes_first_in_the_name_and_last_in_the_doing():
    turned, dead = Fault(TURN, 90.0), mask(np.arange(48 * 32).reshape(48, 32) == 0, np.zeros_like(PICTURE))
    assert [one.name for one in order_faults([turned, dead])] == ["dead pixels", "turned by about 90°"]
    assert (damage([PICTURE], [dead, turned])[0][0, 0] == 0).all()


def test_a_mask_leaves_images_of_another_size_alone():
    dead = mask(np.ones((48, 32), bool), np.zeros_like(PICTURE))
    small = PICTURE[:10]
    assert np.array_equal(damage([small], [dead])[0], small)
    assert not damage([PICTURE], [dead])[0].any()


def test_a_blurred_lens_leaves_the_grain_of_the_sensor():
    noisy = [np.clip(120 + CHANCE.normal(0, 6, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(4)]
    after = damage(noisy, [Fault(BLUR, 1 / 16)])
    assert np.mean([one.mean(axis=2).std() for one in after]) > 2
    assert BLUR.do(noisy[0], 1 / 16).mean(axis=2).std() < 1


def test_a_loose_lens_is_tried_at_every_angle():
    assert {(first.kind, second.kind) for first, second in list_pairs()} == {(BLUR, TURN)}
    assert len(list_pairs()) == len(TURN.degrees)
