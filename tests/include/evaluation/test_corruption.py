import numpy as np
import pytest

from include.evaluation.corruption import CORRUPTIONS, SEVERITIES, brighten, corrupt


@pytest.fixture(params=[(32, 32, 3), (7, 200, 3), (1, 1, 3)], ids=str)
def image(request):
    rows, columns, _ = request.param
    pixels = np.add.outer(np.linspace(0, 120, rows), np.linspace(0, 120, columns))
    return np.stack([pixels, pixels[::-1], 255 - pixels], axis=2).astype(np.uint8)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_damage_keeps_shape_and_type_and_repeats_itself(image, kind):
    before = image.copy()
    for severity in SEVERITIES:
        damaged = corrupt(image, kind, severity)
        assert (damaged.shape, damaged.dtype) == (image.shape, np.uint8)
        assert (damaged == corrupt(image, kind, severity)).all()
    assert (image == before).all()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_more_severe_damage_changes_more(digit_images, kind):
    changed = [
        np.mean([np.abs(corrupt(image, kind, severity).astype(float) - image) for image, _ in digit_images[:20]])
        for severity in SEVERITIES
    ]
    assert 0 < changed[0] < changed[1] < changed[2]


def test_values_by_hand():
    image = np.array([[[0, 100, 250]], [[200, 100, 50]]], dtype=np.uint8)
    assert brighten(image, 0.1).tolist() == [[[26, 126, 255]], [[226, 126, 76]]]
    assert corrupt(image, "contrast", 3).tolist() == [[[80, 100, 170]], [[120, 100, 130]]]


def test_noise_has_the_spread_it_says():
    grey = np.full((100, 100, 3), 128, dtype=np.uint8)
    assert corrupt(grey, "noise", 2).std() == pytest.approx(0.08 * 255, rel=0.03)


def test_colours_stay_in_their_channels():
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert corrupt(red, "jpeg", 1).mean(axis=(0, 1)).round(-1).tolist() == [200, 0, 0]
