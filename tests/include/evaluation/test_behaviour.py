import numpy as np
import pytest

from include.evaluation.behaviour import SAMPLE, measure_behaviour
from include.evaluation.corruption import CORRUPTIONS, SEVERITIES


def left_or_right(images):
    """A model that says on which side an image is brighter."""
    return np.array(
        [int(image[:, : image.shape[1] // 2].mean() < image[:, image.shape[1] // 2 :].mean()) for image in images]
    )


def make_image(bright_side, level=200):
    image = np.full((16, 16, 3), 20, dtype=np.uint8)
    image[:, 8 * bright_side : 8 * bright_side + 8] = level
    return image


IMAGES = [make_image(side) for side in (0, 1, 0, 1)]
TRUE = [0, 1, 0, 1]


def test_a_model_that_looks_at_the_right_thing_is_invariant_and_robust():
    measures = measure_behaviour(left_or_right, IMAGES, TRUE, flips=False)
    assert measures["invariance_brightness"] == measures["invariance_shift"] == measures["robustness"] == 1
    assert {f"robustness_{kind}_{severity}" for kind in CORRUPTIONS for severity in SEVERITIES} < set(measures)
    assert "invariance_flip" not in measures


def test_where_a_mirrored_image_is_the_same_its_answer_should_be_too():
    assert measure_behaviour(left_or_right, IMAGES, TRUE, flips=True)["invariance_flip"] == 0


def test_a_model_that_goes_by_brightness_is_caught():
    def by_brightness(images):
        return np.array([int(image.mean() > 100) for image in images])

    images = [np.full((16, 16, 3), level, dtype=np.uint8) for level in (10, 90, 110, 240)]
    measures = measure_behaviour(by_brightness, images, [0, 0, 1, 1], flips=False)
    assert measures["invariance_brightness"] == 0.5
    assert measures["robustness_brightness_3"] == 0.75


def test_a_shift_is_a_sixteenth_in_each_direction():
    def corner(images):
        return np.array([int(image[0, 0, 0] > 100) for image in images])

    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[2, 0] = 255
    assert measure_behaviour(corner, [image], [0], flips=False)["invariance_shift"] == 0
    image[2, 0], image[3, 0] = 0, 255
    assert measure_behaviour(corner, [image], [0], flips=False)["invariance_shift"] == 1


def test_robustness_is_accuracy_not_agreement():
    wrong = measure_behaviour(left_or_right, IMAGES, [1, 0, 1, 1], flips=False)
    assert wrong["robustness"] == pytest.approx(0.25)


def test_the_sample_is_bounded():
    asked = []

    def count(images):
        asked.append(len(images))
        return np.zeros(len(images), dtype=np.int64)

    measure_behaviour(count, [make_image(0)] * (SAMPLE + 50), [0] * (SAMPLE + 50), flips=True)
    assert max(asked) == SAMPLE
