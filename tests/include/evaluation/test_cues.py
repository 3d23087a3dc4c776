import numpy as np
import pytest
import torch
from torch import nn

from include.errors import DataQualityError
from include.evaluation.cues import measure_without_cues
from include.vision.networks import Classifier
from include.vision.preprocessing import Preprocess

SIDE = 32
SQUARE = {"corners": np.s_[:4, :4], "middle": np.s_[12:20, 12:20]}


class Reader(nn.Module):
    """Looks at one place of an image, and calls a light one class 1."""

    def __init__(self, place, channel=slice(None)):
        super().__init__()
        self.place = (..., *place)
        self.channel = channel

    def forward(self, inputs):
        light = inputs[:, self.channel][self.place].mean(dim=(1, 2, 3))
        return torch.stack([-light, light], dim=1)


def look_at(place, channel=slice(None)):
    return Classifier(Preprocess(SIDE), Reader(place, channel), 2)


def draw(*places, count=60, shape=(SIDE, SIDE)):
    """Grey images with the class as light in some places."""
    chance = np.random.default_rng(4)
    targets = [index % 2 for index in range(count)]
    images = [chance.integers(100, 130, (*shape, 3), dtype=np.uint8) for _ in targets]
    for image, target in zip(images, targets, strict=True):
        for place in places:
            image[place] = 255 * target
    return images, targets


def measure(classifier, images, targets):
    return {one.cue: one for one in measure_without_cues(classifier, images, targets)}


def test_a_model_that_reads_a_corner_is_told_from_one_that_reads_the_middle():
    images, targets = draw(*SQUARE.values())
    cheat = measure(look_at(SQUARE["corners"]), images, targets)["corners"]
    assert cheat.suspicious
    assert cheat.drop > 0.2 > cheat.control_drop
    assert cheat.p_value <= 0.01
    honest = measure(look_at(SQUARE["middle"]), images, targets)
    assert not any(one.suspicious for one in honest.values())
    assert honest["corners"].drop == 0


def test_a_model_that_reads_the_frame_is_named():
    images, targets = draw(np.s_[:2], np.s_[-2:])
    found = measure(look_at(np.s_[:2, 8:-8]), images, targets)
    assert found["border"].suspicious
    assert not found["corners"].suspicious


def test_a_model_that_reads_colour_is_named():
    images, targets = draw()
    for image, target in zip(images, targets, strict=True):
        image[..., 2 * (1 - target)] += 60
        image[..., 2 * target] -= 60

    class Hue(nn.Module):
        def forward(self, inputs):
            warmth = (inputs[:, 0] - inputs[:, 2]).mean(dim=(1, 2))
            return torch.stack([warmth * 0, -warmth], dim=1)

    found = measure(Classifier(Preprocess(SIDE), Hue(), 2), images, [1 - target for target in targets])
    assert {cue for cue, one in found.items() if one.suspicious} == {"colour"}


def test_a_constant_model_leans_on_nothing():
    images, targets = draw(count=20)

    class Same(nn.Module):
        def forward(self, inputs):
            return torch.tensor([[1.0, 0.0]]).repeat(len(inputs), 1)

    found = measure(Classifier(Preprocess(SIDE), Same(), 2), images, targets)
    assert [(one.accuracy, one.drop, one.p_value) for one in found.values()] == [(0.5, 0.0, 1.0)] * 3


@pytest.mark.parametrize("shape", [(1, 1), (2, 90), (3, 3), (700, 500)])
def test_images_of_any_shape_are_examined(shape):
    images, targets = draw(count=4, shape=shape)
    assert all(one.images == 4 for one in measure(look_at(SQUARE["middle"]), images, targets).values())


def test_the_images_given_stay_as_they_were():
    images, targets = draw(count=6)
    before = [image.copy() for image in images]
    measure(look_at(SQUARE["middle"]), images, targets)
    assert all(np.array_equal(one, other) for one, other in zip(images, before, strict=True))


def test_no_images_are_no_evidence():
    with pytest.raises(DataQualityError, match="no test image"):
        measure_without_cues(look_at(SQUARE["middle"]), [], [])
