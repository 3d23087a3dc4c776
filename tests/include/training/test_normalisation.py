import pytest
import torch
from torch import distributed, nn

from include.training.normalisation import TeamBatchNorm


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Make this process a team of its own."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm2d(3), (5, 3, 4, 6)),
        (nn.BatchNorm2d(3, momentum=None), (2, 3, 1, 1)),
        (nn.BatchNorm2d(3, affine=False), (4, 3, 2, 2)),
        (nn.BatchNorm1d(3, track_running_stats=False), (7, 3)),
    ],
    ids=str,
)
def test_computes_what_torch_does(group, layer, shape):
    torch.manual_seed(0)
    features = torch.randn(shape) * 3 + 50
    pull = torch.randn(shape)
    results = []
    for make in (lambda one: one, TeamBatchNorm):
        torch.manual_seed(1)
        one = make(type(layer)(3, layer.eps, layer.momentum, layer.affine, layer.track_running_stats))
        given = features.clone().requires_grad_()
        answer = one(given)
        (answer * pull).sum().backward()
        trained = [answer.detach(), given.grad, *(parameter.grad for parameter in one.parameters())]
        results.append([*trained, *one.state_dict().values(), one.eval()(features).detach()])
    assert len(results[0]) == len(results[1])
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(expected.double(), found.double(), rtol=1e-4, atol=1e-4)
