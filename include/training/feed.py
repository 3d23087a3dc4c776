"""Deal training images into batches, and read each while the one before it is learned from."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from include.training.samples import Samples
from include.training.team import Team


@dataclass(frozen=True)
class Batch:
    """This process's part of a batch.

    :param images: Its images, uint8 [H, W, 3].
    :param places: Where they are in the whole batch.
    :param targets: Class of each image of the whole batch, int64.
    """

    images: list[NDArray[np.uint8]]
    places: torch.Tensor
    targets: torch.Tensor


def deal_batches(train: Samples, batches: int, team: Team, *, with_neighbour: bool) -> Iterator[Batch]:
    """Deal all images in random order into so many batches of even size, and each batch to the team's processes.

    :param with_neighbour: Give a process of several also the image before its own, which its first one is mixed with.
    """
    order = torch.tensor_split(torch.randperm(len(train)), batches)
    places = [_find_places(len(chosen), team, with_neighbour) for chosen in order]
    wanted = [chosen[own].tolist() for chosen, own in zip(order, places, strict=True)]
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(train.take, wanted[0])
        for chosen, own, following in zip(order, places, [*wanted[1:], []], strict=True):
            images, coming = coming.result(), reader.submit(train.take, following)
            yield Batch(images, own, train.targets[chosen])


def _find_places(count: int, team: Team, with_neighbour: bool) -> torch.Tensor:
    own = team.share(count)
    ahead = 1 if with_neighbour and team.size > 1 else 0
    return torch.arange(own.start - ahead, own.stop) % count
