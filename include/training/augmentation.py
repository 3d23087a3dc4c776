"""Vary training images a little, as the project's policy says."""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from include.project.learning import AugmentationConfig

# A sigma of 0 is no blur, but torchvision takes positive ones only.
SHARP = 1e-3
BLUR_REACH = 3

# What decides how one image is varied: its turn, size and two shifts, and a seed for all else.
CHANCES = 5
SEEDS = 2**53

Vary = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Change = Callable[[torch.Tensor], torch.Tensor]
Mix = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def draw_chances(count: int) -> torch.Tensor:
    """Draw what decides how each of so many images is varied: float64 [count, 5] from 0 to 1."""
    return torch.rand(count, CHANCES, dtype=torch.float64)


def build_augmentation(policy: AugmentationConfig, side: int) -> Vary:
    """Return a function that varies each image of a float batch, [N, 3, side, side] from 0 to 1, by its own chances.

    They come as float64 [N, 5]; with the same ones an image is varied in the same way, in whatever batch it is.
    """
    changes = _list_changes(policy, side)

    def vary(batch: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
        moved = _move(batch, policy, chances)
        if not changes:
            return moved
        seeds = (chances[:, -1] * SEEDS).long().tolist()
        with torch.random.fork_rng(devices=[]):
            return torch.stack([_change(image, changes, seed) for image, seed in zip(moved, seeds, strict=True)])

    return vary


def build_mixing(policy: AugmentationConfig, classes: int) -> Mix | None:
    """Return a function that mixes the images of a batch, and their classes by the same shares; None if off.

    It takes float [N, 3, H, W] and int64 [N], and returns such images and float [N, classes]. Mix-up: Zhang et al.,
    "mixup: Beyond Empirical Risk Minimization" (2018); cut-mix: Yun et al., "CutMix" (2019). With both on, each batch
    draws one of them.
    """
    if not (policy.mixup or policy.cutmix):
        return None
    from torchvision.transforms import v2  # type: ignore[import-untyped]

    kinds = ((v2.MixUp, policy.mixup), (v2.CutMix, policy.cutmix))
    mix: Mix = v2.RandomChoice([kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha])
    return mix


def _change(image: torch.Tensor, changes: Sequence[Change], seed: int) -> torch.Tensor:
    # Not torch.manual_seed, which would seed the GPUs, too.
    torch.default_generator.manual_seed(seed)
    for change in changes:
        image = change(image)
    return image


def _move(batch: torch.Tensor, policy: AugmentationConfig, chances: torch.Tensor) -> torch.Tensor:
    """Turn, scale and shift; torchvision would move a whole batch alike, and blacken its borders."""
    if not (policy.rotate_degrees or policy.scale or policy.shift):
        return batch
    # From -1 to 1.
    turn, size, *shifts = (chances[:, : CHANCES - 1] * 2 - 1).float().unbind(dim=1)
    angle = torch.deg2rad(turn * policy.rotate_degrees)
    scale = 1 + size * policy.scale
    # affine_grid counts from -1 to 1 over the image, hence twice the share of its width.
    shift = 2 * policy.shift * torch.stack(shifts, dim=1)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rotation = torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
    moves = torch.cat([rotation, shift.unsqueeze(2)], dim=2).to(batch.device)
    grid = functional.affine_grid(moves, list(batch.shape), False)
    return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _list_changes(policy: AugmentationConfig, side: int) -> list[Change]:
    chosen = policy.flip_horizontal, policy.flip_vertical, policy.brightness, policy.contrast, policy.blur, policy.erase
    if not any(chosen):
        return []
    # A second of every training's start; the default policy has no use for it.
    from torchvision.transforms import v2

    # Reflected borders must be shorter than the image.
    kernel = min(2 * math.ceil(BLUR_REACH * policy.blur) + 1, 2 * side - 1)
    changes: tuple[tuple[object, Callable[[], Change]], ...] = (
        (policy.flip_horizontal, lambda: v2.RandomHorizontalFlip()),
        (policy.flip_vertical, lambda: v2.RandomVerticalFlip()),
        (policy.brightness or policy.contrast, lambda: v2.ColorJitter(policy.brightness, policy.contrast)),
        (policy.blur, lambda: v2.GaussianBlur(kernel, sigma=(min(SHARP, policy.blur), policy.blur))),
        (policy.erase, lambda: v2.RandomErasing(policy.erase)),
    )
    return [build() for wanted, build in changes if wanted]
