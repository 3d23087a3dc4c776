import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from include.errors import ContractViolationError
from include.vision.export import export_graph, measure_parity
from include.vision.onnx_network import OnnxNetwork, join_preprocessing
from include.vision.releases import open_graph, run_graph, run_graph_with_embedding
from include.vision.weights import wrap_graph
from tests.include.foreign_models import SHEET, SIDE, export_onnx, make_network, make_sheet

IMAGES = [np.random.default_rng(side).integers(0, 256, (side, 40, 3), dtype=np.uint8) for side in (20, 32, 70)]


class Turned(nn.Module):
    """Takes blue, green, red, colours last."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images.permute(0, 3, 1, 2).flip(1))


def answer_by_hand(image):
    """What whoever trained the network expects, without any code of ours."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    small = functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    mean, std = (torch.tensor(SHEET[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        return make_network()((small - mean) / std).softmax(1).numpy()


KINDS = {
    "logits, opset 9": (lambda network: export_onnx(network, opset=9), {}),
    "probabilities, opset 20": (
        lambda network: export_onnx(nn.Sequential(network, nn.Softmax(1)), opset=20), {"output": "probabilities"}
    ),
    "nhwc, bgr": (lambda network: export_onnx(Turned(network), (SIDE, SIDE, 3)), {"layout": "nhwc", "channels": "bgr"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_graph_answers_as_where_it_was_trained_also_once_exported(kind):
    export, changes = KINDS[kind]
    classifier = wrap_graph(export(make_network()), make_sheet(**changes))
    graph = open_graph(export_graph(classifier))
    assert measure_parity(classifier, graph, IMAGES) < 1e-6
    for image in IMAGES:
        expected = answer_by_hand(image)
        assert np.allclose(classifier.predict_probabilities([image]), expected, atol=1e-5)
        assert np.allclose(run_graph(graph, image[None]), expected, atol=1e-5)


def test_weights_that_an_old_graph_lists_as_inputs_are_none():
    model = onnx.load_model_from_string(export_onnx(make_network(), opset=9))
    model.ir_version = 3
    for weights in model.graph.initializer:
        info = onnx.helper.make_tensor_value_info(weights.name, weights.data_type, weights.dims)
        model.graph.input.insert(0, info)
    classifier = wrap_graph(model.SerializeToString(), make_sheet())
    exported = export_graph(classifier)
    assert export_graph(classifier) == exported
    joined = open_graph(exported)
    assert [one.name for one in joined.get_inputs()] == ["images"]
    assert np.allclose(run_graph(joined, IMAGES[0][None]), answer_by_hand(IMAGES[0]), atol=1e-5)
    assert run_graph_with_embedding(joined, IMAGES[0][None])[1] is None


def test_what_cannot_be_joined_says_so():
    network = OnnxNetwork(export_onnx(make_network()), make_sheet())
    prepare = onnx.load_model_from_string(export_onnx(nn.Flatten()))
    prepare.opset_import[0].version = 99
    with pytest.raises(ContractViolationError, match=r"cannot be joined with preprocessing: .*; export it with opset"):
        join_preprocessing(prepare, network)


def test_bytes_that_are_no_graph_are_refused():
    with pytest.raises(ContractViolationError, match="ONNX Runtime cannot load the graph"):
        wrap_graph(b"\x08\x0anothing", make_sheet())
