import torch

from include.training.augmentation import augment


def test_varies_each_image_a_little():
    torch.manual_seed(0)
    disc = torch.zeros(8, 1, 32, 32)
    disc[:, :, 10:22, 8:18] = 1
    varied = augment(disc)
    assert varied.shape == disc.shape
    assert len({tuple(image.flatten().tolist()) for image in varied}) == 8
    assert (varied.sum(dim=(1, 2, 3)) / 120 - 1).abs().max() < 0.2


def test_borders_are_continued_not_blackened():
    torch.manual_seed(0)
    assert torch.allclose(augment(torch.ones(4, 3, 32, 32)), torch.ones(4, 3, 32, 32), atol=1e-5)


def test_follows_the_random_state():
    batch = torch.rand(4, 3, 32, 32)
    torch.manual_seed(1)
    first = augment(batch)
    torch.manual_seed(1)
    assert torch.equal(first, augment(batch))
