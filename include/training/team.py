"""The processes that train one model together: what each takes, and how they come to what one process would."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from include.training.normalisation import TeamBatchNorm

BATCH_NORM = nn.modules.batchnorm._BatchNorm
# The first process reads all training images for their colours while the others wait; a dead one is noticed at once.
PATIENCE = timedelta(hours=6)


class Team:
    """One process's view of those that train together; alone, everything is its own."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.batch, self.own = 0, slice(0, 0)

    @property
    def leads(self) -> bool:
        """Tell whether this is the process that speaks for all."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of so many things in a row are this process's; shares differ by one at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def begin(self, batch: int) -> None:
        """Begin a batch of so many images, all processes' together."""
        self.batch, self.own = batch, self.share(batch)

    def add_up(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of all processes' values, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def follow(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give tensors the values that they have in the first process."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def follow_random_state(self) -> None:
        """Draw what the first process draws, whatever a network drew for images of its own."""
        state = torch.get_rng_state()
        self.follow([state])
        torch.set_rng_state(state)

    def connect(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return a network whose gradients are the mean over the processes, and which sees batches as one does.

        Batch normalisation takes its statistics from the whole batch, and dropout draws for the whole batch.
        """
        if self.size == 1:
            return network
        self._replace(network, device.type == "cuda")
        # All buffers are made from the whole batch, and so the same everywhere.
        return DistributedDataParallel(network, forward_sync_buffers=False)

    def _replace(self, network: nn.Module, gpu: bool) -> None:
        for name, layer in network.named_children():
            if isinstance(layer, BATCH_NORM):
                setattr(network, name, _build_sync(layer) if gpu else TeamBatchNorm(layer))
            elif isinstance(layer, nn.Dropout) or type(layer).__name__ == "StochasticDepth":
                setattr(network, name, _WholeBatchNoise(layer, self))
            else:
                self._replace(layer, gpu)


def _build_sync(layer: nn.Module) -> nn.Module:
    made: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)  # type: ignore[no-untyped-call]
    return made


class _WholeBatchNoise(nn.Module):
    """Multiplies by the part of a whole batch's random mask that is for this process's images."""

    def __init__(self, layer: nn.Module, team: Team) -> None:
        super().__init__()
        self.layer, self._team = layer, team

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Mask features [N, ...] of this process's images."""
        if not self.training:
            return images
        mask: torch.Tensor = self.layer(images.new_ones((self._team.batch, *images.shape[1:])))
        return images * mask[self._team.own]


@contextmanager
def join_team(folder: Path) -> Iterator[Team]:
    """Meet the other processes that torchrun started; gloo on processors, NCCL on GPUs.

    :param folder: Folder of this training, where they find each other: no port is opened to the network.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group(
        backend, init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=size, timeout=PATIENCE
    )
    try:
        yield Team(rank, size)
    finally:
        distributed.destroy_process_group()
