"""Turn raw images into network input, as part of the model, so that training and serving cannot differ."""

from collections.abc import Iterable, Sequence

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
        return self.normalise(self._resize(images))

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Prepare images, uint8 [H, W, 3] of any sizes, as one batch; no gradient flows back to them."""
        return self.normalise(self.gather(images))

    def gather(self, images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Resize images, uint8 [H, W, 3] of any sizes: float32 [N, 3, size, size] from 0 to 1, on this one's device."""
        if len({image.shape for image in images}) == 1:
            return self._resize(torch.from_numpy(np.stack(images)).to(self.mean.device))
        return torch.cat([self._resize(torch.from_numpy(image[np.newaxis]).to(self.mean.device)) for image in images])

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give colours, float32 [N, 3, H, W] from 0 to 1, zero mean and unit spread over the training images."""
        return (pixels - self.mean) / self.std

    def learn_statistics(self, images: Iterable[NDArray[np.uint8]]) -> None:
        """Take mean and standard deviation per colour channel from images, uint8 [H, W, 3]; train split only."""
        # Whole numbers, so that neither the order nor the number of the images costs precision.
        histogram = np.zeros((3, 256), dtype=np.int64)
        for image in images:
            for channel in range(3):
                histogram[channel] += np.bincount(image[..., channel].ravel(), minlength=256)
        levels = np.arange(256) / 255.0
        shares = histogram / histogram.sum(axis=1, keepdims=True)
        mean = shares @ levels
        # A channel that never varies must not turn rounding noise into signal.
        spread = np.maximum(np.sqrt((shares * (levels - mean[:, np.newaxis]) ** 2).sum(axis=1)), 1e-2)
        self.set_statistics(mean.tolist(), spread.tolist())

    def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take mean and standard deviation of red, green and blue, which run from 0 to 1, as they are."""
        self.mean.copy_(torch.tensor(mean, dtype=torch.float64).view(1, 3, 1, 1))
        self.std.copy_(torch.tensor(std, dtype=torch.float64).view(1, 3, 1, 1))

    def _resize(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        return functional.interpolate(
            pixels, size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True
        )
