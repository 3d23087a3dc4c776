"""Vary training images a little, as a camera that is not quite still would."""

import torch
from torch.nn import functional

ROTATION_DEGREES = 6.0
SCALE = 0.06
SHIFT = 0.06


def augment(batch: torch.Tensor) -> torch.Tensor:
    """Turn, scale and shift each image of a float batch [N, C, H, W] by its own small random amount.

    No flips: a mirrored digit, sign or part may be another class.
    """
    count = len(batch)
    angle = torch.deg2rad(_spread(count, ROTATION_DEGREES))
    scale = 1 + _spread(count, SCALE)
    # affine_grid counts from -1 to 1 over the image, hence twice the share of its width.
    shift = 2 * torch.stack([_spread(count, SHIFT), _spread(count, SHIFT)], dim=1)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rotation = torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
    grid = functional.affine_grid(torch.cat([rotation, shift.unsqueeze(2)], dim=2), list(batch.shape), False)
    return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _spread(count: int, width: float) -> torch.Tensor:
    return (torch.rand(count) * 2 - 1) * width
