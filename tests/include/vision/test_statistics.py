import math
import timeit

import numpy as np
import pytest
from scipy import ndimage

from include.predictions import STATISTICS
from include.vision.statistics import image_statistics

RNG = np.random.default_rng(4)


def make_image(height: int = 32, width: int = 32) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_keys_are_those_of_the_prediction_log():
    assert tuple(image_statistics(make_image())) == STATISTICS


def test_values_agree_with_scipy():
    image = make_image(40, 24)
    luma = image @ np.array([0.299, 0.587, 0.114]) / 255
    laplacian = ndimage.laplace(luma)[1:-1, 1:-1]
    counts = np.histogram(np.rint(luma * 255), bins=256, range=(0, 256))[0]
    shares = counts[counts > 0] / counts.sum()
    found = image_statistics(image)
    assert found["brightness"] == pytest.approx(luma.mean(), abs=1e-5)
    assert found["contrast"] == pytest.approx(luma.std(), abs=1e-5)
    assert found["sharpness"] == pytest.approx(laplacian.var(), rel=1e-4)
    assert found["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), abs=0.02)
    assert (found["width"], found["height"]) == (24, 40)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_flat_image_is_finite(value: int):
    found = image_statistics(np.full((16, 16, 3), value, np.uint8))
    assert found["brightness"] == pytest.approx(value / 255, abs=1e-6)
    assert found["contrast"] == pytest.approx(0, abs=1e-6)
    assert found["sharpness"] == pytest.approx(0, abs=1e-9)
    assert found["entropy"] == 0
    assert math.copysign(1, found["entropy"]) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 2), (3, 3)])
def test_a_tiny_image_is_finite(shape: tuple[int, int]):
    assert all(math.isfinite(value) for value in image_statistics(make_image(*shape)).values())


def test_blur_lowers_sharpness_and_little_else(digit_images):
    sharp = [image for image, _ in digit_images[:50]]
    blurred = [ndimage.gaussian_filter(image, (1.5, 1.5, 0)) for image in sharp]
    for before, after in zip(map(image_statistics, sharp), map(image_statistics, blurred), strict=True):
        assert after["sharpness"] < before["sharpness"] / 2
        assert after["brightness"] == pytest.approx(before["brightness"], abs=0.02)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_anything_but_a_colour_image_is_refused(image: np.ndarray):
    with pytest.raises(ValueError, match="expected uint8"):
        image_statistics(image)


def test_the_input_is_left_alone():
    image = make_image()
    before = image.copy()
    image_statistics(image)
    assert np.array_equal(image, before)


def test_a_small_image_takes_under_a_millisecond():
    image = make_image()
    assert min(timeit.repeat(lambda: image_statistics(image), number=20, repeat=10)) / 20 < 1e-3
