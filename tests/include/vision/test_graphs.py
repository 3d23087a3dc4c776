import pytest
import torch

from include.contracts import DatasetRef, ModelRef
from include.errors import ContractViolationError
from include.vision.graphs import export_once, graph_address
from include.vision.networks import build_classifier
from include.vision.releases import open_graph
from include.vision.weights import WEIGHTS, save_classifier

SHA = "sha256:" + "a" * 64


@pytest.fixture
def model(project, tmp_path):
    torch.manual_seed(1)
    classifier = build_classifier(project.training, len(project.classes))
    weights = save_classifier(classifier, project.training, project.classes, tmp_path / "model")
    dataset = DatasetRef(project="digits", address="x", version=1, digest=SHA, images=1, labelled=1)
    return ModelRef(project="digits", key=SHA, run_id="run", weights=weights, dataset=dataset)


def test_a_graph_is_exported_once_and_kept(model, any_store, tmp_path):
    graph = export_once(model, tmp_path / "model", any_store)
    assert any_store.read(graph_address(model)) == graph
    (tmp_path / "model" / WEIGHTS).unlink()
    assert export_once(model, tmp_path / "model", any_store) == graph
    assert [one.name for one in open_graph(graph).get_outputs()] == ["probabilities", "embedding"]


def test_weights_that_cannot_be_read_leave_no_graph(model, store, tmp_path):
    (tmp_path / "model" / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(ContractViolationError, match="not a saved model"):
        export_once(model, tmp_path / "model", store)
    assert not store.exists(graph_address(model))
