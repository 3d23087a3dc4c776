import pytest
import torch
from torch import nn

from include.training.normalisation import TeamBatchNorm
from include.training.team import Team, _WholeBatchNoise


@pytest.mark.parametrize(("count", "size"), [(7, 2), (2, 2), (64, 5), (1, 3), (0, 2)])
def test_shares_are_even_and_leave_nothing_out(count, size):
    shares = [range(count)[Team(rank, size).share(count)] for rank in range(size)]
    assert [place for share in shares for place in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_everything_is_ones_own():
    team, network, values = Team(), nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()), torch.ones(2)
    assert team.leads
    assert team.add_up(values).tolist() == [1, 1]
    assert team.connect(network, torch.device("cpu")) is network
    assert [type(layer) for layer in network] == [nn.BatchNorm2d, nn.Dropout]


def test_processes_mask_what_one_would():
    features = torch.rand(5, 4)
    torch.manual_seed(3)
    expected = nn.Dropout(0.4)(features)
    parts = []
    for rank in range(2):
        team = Team(rank, 2)
        team.begin(5)
        torch.manual_seed(3)
        parts.append(_WholeBatchNoise(nn.Dropout(0.4), team)(features[team.own]))
    assert torch.allclose(torch.cat(parts), expected)
    assert torch.equal(_WholeBatchNoise(nn.Dropout(0.4), team).eval()(features), features)


def test_the_layers_that_see_a_batch_are_exchanged_and_their_names_stay():
    from torchvision.models import efficientnet_b0

    network = efficientnet_b0(num_classes=3)
    names, parameters = list(network.state_dict()), list(network.parameters())
    Team(0, 2)._replace(network, gpu=False)
    kinds = {type(layer) for layer in network.modules()}
    assert {TeamBatchNorm, _WholeBatchNoise} <= kinds
    assert nn.BatchNorm2d not in kinds
    assert list(network.state_dict()) == names
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
