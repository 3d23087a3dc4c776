"""A network that is an ONNX graph: asked through ONNX Runtime, joined with our preprocessing for export."""

import onnx
import torch
from onnx import compose, helper, inliner, version_converter
from torch import nn

from include.errors import ContractViolationError
from include.vision.releases import GRAPH_OUTPUT, open_graph
from include.vision.sheets import ImportConfig

PREFIX = "imported_"


class OnnxNetwork(nn.Module):
    """An imported graph in the place of a network: float32 [N, 3, size, size] in, float32 logits [N, classes] out.

    No gradient flows through it.

    :param data: The ONNX file, as it was delivered and examined.
    """

    def __init__(self, data: bytes, sheet: ImportConfig) -> None:
        super().__init__()
        self.data = data
        self.sheet = sheet
        self._session = open_graph(data)
        self._input = self._session.get_inputs()[0].name

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Score one batch."""
        fed = self.arrange(pixels.detach()).cpu().contiguous().numpy()
        scores = torch.from_numpy(self._session.run(None, {self._input: fed})[0]).to(pixels.device)
        if self.sheet.output == "logits":
            return scores
        # A logit that softmax turns into the same probability again.
        return scores.clamp(min=torch.finfo(torch.float32).tiny).log()

    def arrange(self, pixels: torch.Tensor) -> torch.Tensor:
        """Put colours and axes, float32 [N, 3, H, W] in red, green, blue, in the order that the graph was made for."""
        if self.sheet.channels == "bgr":
            pixels = pixels.flip(1)
        return pixels if self.sheet.layout == "nchw" else pixels.permute(0, 2, 3, 1)


def join_preprocessing(prepare: onnx.ModelProto, network: OnnxNetwork) -> onnx.ModelProto:
    """Put the graph that prepares images before an imported one, and probabilities behind it.

    :raises ContractViolationError: the two cannot be brought to one version of ONNX's operators.
    """
    graph = inliner.inline_local_functions(onnx.load_model_from_string(network.data))
    _drop_filled_inputs(graph.graph)
    try:
        first, second = _align(prepare, graph)
        joined = compose.merge_models(
            first, second, [(first.graph.output[0].name, second.graph.input[0].name)], prefix2=PREFIX
        )
    except Exception as error:  # converter and checker share no base but Exception
        raise ContractViolationError(
            f"the imported graph cannot be joined with preprocessing: {' '.join(str(error).split())[:300]}; export it "
            f"with opset {_opset(prepare)}"
        ) from error
    scores = joined.graph.output[0].name
    if network.sheet.output == "logits":
        joined.graph.node.append(helper.make_node("Softmax", [scores], [GRAPH_OUTPUT], axis=1))
    else:
        joined.graph.node.append(helper.make_node("Identity", [scores], [GRAPH_OUTPUT]))
    shape: list[str | int | None] = ["N", len(network.sheet.classes)]
    joined.graph.output[0].CopyFrom(helper.make_tensor_value_info(GRAPH_OUTPUT, onnx.TensorProto.FLOAT, shape))
    return joined


def _drop_filled_inputs(graph: onnx.GraphProto) -> None:
    """Leave images as the only input: old graphs list their weights as inputs, too."""
    filled = {one.name for one in graph.initializer}
    left = [one for one in graph.input if one.name not in filled]
    del graph.input[:]
    graph.input.extend(left)


def _align(*graphs: onnx.ModelProto) -> list[onnx.ModelProto]:
    opset, version = max(map(_opset, graphs)), max(graph.ir_version for graph in graphs)
    for graph in graphs:
        # First, because the converter expects weights among the inputs of graphs that are older.
        graph.ir_version = version
    return [graph if _opset(graph) == opset else version_converter.convert_version(graph, opset) for graph in graphs]


def _opset(graph: onnx.ModelProto) -> int:
    return int(next(one.version for one in graph.opset_import if one.domain in {"", "ai.onnx"}))
