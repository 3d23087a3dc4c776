"""Batch normalisation over the whole batch of several processes, on processors: torch has it for GPUs only."""

from typing import Any

import torch
from torch import distributed, nn


class TeamBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Does what a layer does that sees all processes' images; its parameters and buffers are those of `layer`.

    Ioffe and Szegedy, "Batch Normalization" (2015); over several processes as in `torch.nn.SyncBatchNorm`.
    """

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self._parameters, self._buffers = layer._parameters, layer._buffers
        self.training = layer.training

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise [N, C, ...], N > 0."""
        if not self.training:
            return super().forward(features)
        normalised: torch.Tensor
        normalised, mean, variance, count = _Normalise.apply(features, self.weight, self.bias, self.eps)
        self._remember(mean, variance * (count / (count - 1).clamp(min=1)).float())
        return normalised.to(features.dtype)

    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)

    def _check_input_dim(self, features: torch.Tensor) -> None:
        """Take features of any number of dimensions."""


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, weight: Any, bias: Any, eps: float) -> tuple[torch.Tensor, ...]:
        features = features.float()
        count = torch.tensor([features.numel() / features.shape[1]], dtype=torch.float64)
        mean, variance = (part.double() for part in torch.batch_norm_update_stats(features, None, None, 0.0))
        sums = torch.cat([count, mean * count, (variance + mean**2) * count])
        distributed.all_reduce(sums)
        count, mean, square = sums[:1], *(sums[1:] / sums[0]).chunk(2)
        mean, variance = mean.float(), (square - mean**2).clamp(min=0).float()
        ctx.save_for_backward(features, weight, mean, variance, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.batch_norm(features, weight, bias, mean, variance, False, 0.0, eps, False), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features, weight, mean, variance, count = ctx.saved_tensors
        direct, slopes, offsets = torch.ops.aten.native_batch_norm_backward(
            gradient.contiguous(), features, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.cat([slopes, offsets]).double()
        distributed.all_reduce(sums)
        # What a feature changes in the mean and the spread of all, and so in every other one.
        by_slope, by_offset = (sums / count).float().chunk(2)
        inverse = torch.rsqrt(variance + ctx.eps)
        scale = inverse if weight is None else inverse * weight
        slope = scale * inverse * by_slope
        shape = (1, -1) + (1,) * (features.dim() - 2)
        through = features * slope.view(shape) + (scale * by_offset - mean * slope).view(shape)
        own = (None, None) if weight is None else (slopes, offsets)
        return direct - through, *own, None
