import numpy as np
import pytest
import torch

from include.vision.preprocessing import Preprocess


@pytest.fixture
def images():
    return [np.random.default_rng(index).integers(0, 256, (20, 24, 3), dtype=np.uint8) for index in range(4)]


def test_statistics_of_the_training_images_give_zero_mean_and_unit_spread(images):
    preprocess = Preprocess(20)
    square = [image[:, :20] for image in images]
    preprocess.learn_statistics(square)
    batch = preprocess.prepare(square)
    assert batch.dtype == torch.float32
    assert batch.shape == (4, 3, 20, 20)
    assert batch.mean(dim=(0, 2, 3)).numpy() == pytest.approx([0, 0, 0], abs=1e-4)
    assert batch.std(dim=(0, 2, 3)).numpy() == pytest.approx([1, 1, 1], abs=1e-2)


def test_an_image_of_the_right_size_keeps_its_pixels(images):
    square = images[0][:, :20]
    back = Preprocess(20).prepare([square])[0] * 0.25 + 0.5
    assert back.permute(1, 2, 0).numpy() * 255 == pytest.approx(square, abs=1e-3)


def test_a_batch_of_mixed_sizes_gives_what_each_image_gives_alone(images):
    preprocess = Preprocess(16)
    mixed = [images[0], images[1][:10], images[2]]
    together = preprocess.prepare(mixed)
    for index, image in enumerate(mixed):
        assert torch.equal(together[index], preprocess.prepare([image])[0])


def test_a_channel_that_never_varies_stays_finite():
    preprocess = Preprocess(16)
    black = [np.zeros((16, 16, 3), dtype=np.uint8)]
    preprocess.learn_statistics(black)
    assert torch.isfinite(preprocess.prepare(black)).all()
    assert preprocess.prepare([black[0] + np.uint8(1)]).abs().max() < 1


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = Preprocess(16).prepare([stripes]) * 0.25 + 0.5
    assert small[..., 1:-1].numpy() == pytest.approx(0.5, abs=0.05)


def test_statistics_are_those_of_all_pixels_whatever_the_sizes(images):
    mixed = [images[0], images[1][:7, :5], images[2]]
    preprocess = Preprocess(16)
    preprocess.learn_statistics(iter(mixed))
    pixels = np.concatenate([image.reshape(-1, 3) for image in mixed]) / 255
    assert preprocess.mean.flatten().numpy() == pytest.approx(pixels.mean(axis=0), abs=1e-6)
    assert preprocess.std.flatten().numpy() == pytest.approx(pixels.std(axis=0), abs=1e-6)


def test_gathered_colours_lie_between_0_and_1_and_normalise_to_the_prepared_batch(images):
    preprocess = Preprocess(16)
    preprocess.learn_statistics(images)
    pixels = preprocess.gather(images)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert torch.equal(preprocess.normalise(pixels), preprocess.prepare(images))
