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
    assert [found[name] for name in ("red", "green", "blue")] == pytest.approx(image.mean(axis=(0, 1)) / 255, abs=1e-5)
    assert found["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), abs=0.02)
    assert (found["width"], found["height"]) == (24, 40)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_flat_image_is_finite(value: int):
    found = image_statistics(np.full((16, 16, 3), value, np.uint8))
    assert found["brightness"] == pytest.approx(value / 255, abs=1e-6)
    assert found["contrast"] == pytest.approx(0, abs=1e-6)
    assert found["sharpness"] == pytest.approx(0, abs=1e-9)
    assert [found[name] for name in ("noise", "saturation", "entropy")] == pytest.approx([0, 0, 0], abs=1e-6)
    assert math.copysign(1, found["entropy"]) == 1


@pytest.mark.parametrize("side", [64, 512])
@pytest.mark.parametrize("sigma", [2, 5, 15])
def test_noise_is_what_was_added_to_a_smooth_image(side: int, sigma: float):
    rows, columns = np.mgrid[:side, :side] / side
    smooth = 128 + 60 * np.sin(3 * rows) * np.cos(2 * columns)
    grey = np.clip(np.rint(smooth + RNG.normal(0, sigma, (side, side))), 0, 255).astype(np.uint8)
    found = image_statistics(grey[..., None].repeat(3, axis=2))
    assert found["noise"] * 255 == pytest.approx(sigma, rel=0.1)


def test_noise_tells_grain_from_edges(digit_images):
    plain = [image for image, _ in digit_images[:30]]
    grainy = [np.clip(image + RNG.normal(0, 10, image.shape), 0, 255).astype(np.uint8) for image in plain]
    before, after = (np.array([image_statistics(image)["noise"] for image in images]) for images in (plain, grainy))
    assert after.min() > before.max()


@pytest.mark.parametrize(
    ("colour", "saturation"), [((255, 0, 0), 1), ((200, 100, 100), 0.5), ((90, 90, 90), 0), ((0, 0, 0), 0)]
)
@pytest.mark.parametrize("shape", [(1, 1), (9, 70), (200, 100)])
def test_saturation_and_channels_are_those_of_the_colour(colour, saturation: float, shape: tuple[int, int]):
    found = image_statistics(np.full((*shape, 3), colour, np.uint8))
    assert found["saturation"] == pytest.approx(saturation, abs=1e-6)
    assert [255 * found[name] for name in ("red", "green", "blue")] == pytest.approx(colour, abs=1e-3)


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
