"""Turn raw images into network input, as part of the model, so that training and serving cannot differ."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional


class Preprocess(nn.Module):
    """Resize, scale and normalise: uint8 [N, H, W, 3] in, float32 [N, 3, size, size] out.

    :param size: Square side of the output, in pixels.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        # Buffers, so that the statistics travel in the weights file and in the exported graph.
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Prepare one batch."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        resized = functional.interpolate(
            pixels, size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True
        )
        return (resized - self.mean) / self.std

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Prepare images, uint8 [H, W, 3] of any sizes, as one batch; no gradient flows back to them."""
        if len({image.shape for image in images}) == 1:
            batch: torch.Tensor = self(torch.from_numpy(np.stack(images)))
            return batch
        return torch.cat([self(torch.from_numpy(image[np.newaxis])) for image in images])

    def learn_statistics(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Take mean and standard deviation per colour channel from images, uint8 [H, W, 3]; train split only."""
        pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / 255.0
        # A channel that never varies must not turn rounding noise into signal.
        spread = np.maximum(pixels.std(axis=0), 1e-2)
        self.mean.copy_(torch.from_numpy(pixels.mean(axis=0)).view(1, 3, 1, 1))
        self.std.copy_(torch.from_numpy(spread).view(1, 3, 1, 1))
