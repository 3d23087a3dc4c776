import pytest
import torch

from include.project.learning import AugmentationConfig
from include.training.augmentation import build_augmentation, build_mixing, draw_chances

STILL = {"rotate_degrees": 0, "scale": 0, "shift": 0}
SIDE = 32


def vary(batch, **policy):
    torch.manual_seed(0)
    return build_augmentation(AugmentationConfig(**policy), SIDE)(batch, draw_chances(len(batch)))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(16, 3, SIDE, SIDE, generator=generator)


def test_varies_each_image_a_little():
    disc = torch.zeros(8, 1, SIDE, SIDE)
    disc[:, :, 10:22, 8:18] = 1
    varied = vary(disc)
    assert varied.shape == disc.shape
    assert len({tuple(image.flatten().tolist()) for image in varied}) == 8
    assert (varied.sum(dim=(1, 2, 3)) / 120 - 1).abs().max() < 0.2


def test_borders_are_continued_not_blackened():
    white = torch.ones(4, 3, SIDE, SIDE)
    assert torch.allclose(vary(white, rotate_degrees=180, shift=0.5), white, atol=1e-5)


def test_an_image_is_varied_in_the_same_way_in_whatever_batch_it_is(batch):
    everything = {"flip_horizontal": True, "brightness": 0.3, "contrast": 0.3, "blur": 1, "erase": 0.5}
    change = build_augmentation(AugmentationConfig(**everything), SIDE)
    chances = draw_chances(len(batch))
    state = torch.get_rng_state()
    whole, part = change(batch, chances), change(batch[5:9], chances[5:9])
    # The blur of a whole batch may round otherwise.
    assert torch.allclose(whole[5:9], part, atol=1e-6)
    assert not torch.allclose(whole[5:9], change(batch[5:9], draw_chances(4)), atol=1e-2)
    assert torch.equal(torch.get_rng_state(), state) is False
    torch.set_rng_state(state)
    change(batch, chances)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_policy_of_nothing_changes_nothing(batch):
    assert torch.equal(vary(batch, **STILL), batch)


@pytest.mark.parametrize(("setting", "axis"), [("flip_horizontal", 2), ("flip_vertical", 1)])
def test_half_of_the_images_are_mirrored(batch, setting, axis):
    varied = vary(batch, **STILL, **{setting: True})
    mirrored = [torch.equal(one, other.flip(axis)) for one, other in zip(varied, batch, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(varied, batch, strict=True)]
    assert 2 <= sum(mirrored) <= 14
    assert [not one for one in mirrored] == same


def test_brightness_contrast_and_blur_stay_within_their_bounds(batch):
    brighter = vary(batch * 0.5, **STILL, brightness=0.2)
    factors = (brighter / (batch * 0.5).clamp(min=1e-6)).mean(dim=(1, 2, 3))
    assert ((factors > 0.79) & (factors < 1.21)).all()
    assert len({round(factor, 4) for factor in factors.tolist()}) == 16
    means = batch.mean(dim=(1, 2, 3))
    assert vary(batch, **STILL, contrast=0.5).mean(dim=(1, 2, 3)) == pytest.approx(means, abs=0.05)
    assert (vary(batch, **STILL, blur=3).std(dim=(1, 2, 3)) < batch.std(dim=(1, 2, 3)) + 1e-4).all()


@pytest.mark.parametrize("blur", [1e-6, 0.1, 10.0])
def test_any_blur_fits_the_smallest_image(blur):
    small = torch.rand(2, 3, 16, 16)
    varied = build_augmentation(AugmentationConfig(**STILL, blur=blur), 16)(small, draw_chances(2))
    assert varied.shape == small.shape
    assert torch.isfinite(varied).all()


def test_a_rectangle_is_blanked_as_often_as_said(batch):
    always = vary(batch + 0.1, **STILL, erase=1)
    assert ((always == 0).flatten(1).sum(dim=1) > 0).all()
    assert torch.equal(always[always != 0], (batch + 0.1)[always != 0])
    assert 1 <= int(((vary(batch + 0.1, **STILL, erase=0.5) == 0).flatten(1).sum(dim=1) > 0).sum()) <= 15


@pytest.mark.parametrize("policy", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_mixed_images_have_mixed_classes(batch, policy):
    torch.manual_seed(3)
    mix = build_mixing(AugmentationConfig(**policy), 4)
    targets = torch.arange(16) % 4
    images, shares = mix(batch, targets)
    assert images.shape == batch.shape
    assert shares.shape == (16, 4)
    assert shares.sum(dim=1) == pytest.approx(torch.ones(16), abs=1e-5)
    assert 0 < float(shares[0, 0]) <= 1
    assert not torch.equal(images, batch)


def test_nothing_is_mixed_by_default():
    assert build_mixing(AugmentationConfig(), 4) is None
