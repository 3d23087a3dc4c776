import numpy as np
import torch

from include.training.feed import deal_batches
from include.training.samples import Samples
from include.training.team import Team

SAMPLES = Samples([np.full((2, 2, 3), value, np.uint8) for value in range(23)], torch.arange(23))


def deal(team, *, with_neighbour=False):
    torch.manual_seed(1)
    return list(deal_batches(SAMPLES, 3, team, with_neighbour=with_neighbour))


def test_every_image_comes_once_with_its_class():
    batches = deal(Team())
    assert [len(batch.targets) for batch in batches] == [8, 8, 7]
    assert sorted(torch.cat([batch.targets for batch in batches]).tolist()) == list(range(23))
    for batch in batches:
        assert [image[0, 0, 0] for image in batch.images] == batch.targets[batch.places].tolist()


def test_the_processes_divide_the_batches_of_one():
    for whole, *parts in zip(deal(Team()), *(deal(Team(rank, 3)) for rank in range(3)), strict=True):
        assert torch.cat([part.places for part in parts]).tolist() == list(range(len(whole.targets)))
        dealt = [image[0, 0, 0] for part in parts for image in part.images]
        assert dealt == [image[0, 0, 0] for image in whole.images]
        assert max(len(part.images) for part in parts) - min(len(part.images) for part in parts) <= 1


def test_an_image_comes_with_the_one_it_is_mixed_with():
    first, second = (deal(Team(rank, 2), with_neighbour=True)[0].places.tolist() for rank in range(2))
    assert (first, second) == ([7, 0, 1, 2, 3], [3, 4, 5, 6, 7])
    assert deal(Team(), with_neighbour=True)[0].places.tolist() == list(range(8))
