import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

from include.errors import ContractViolationError
from include.vision import examination
from include.vision.examination import examine_graph, inspect_graph
from tests.include.foreign_models import SIDE, export_onnx, make_network, make_sheet

SHAPE = ["N", 3, SIDE, SIDE]


class Both(nn.Module):
    def forward(self, one, other):
        return one + other


@pytest.fixture(scope="module")
def exported():
    return export_onnx(make_network())


def build(nodes, *, shape=SHAPE, initializers=(), opset=20, **options) -> bytes:
    """Build a graph by hand, from `x` to `y`."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("elsewhere", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **options).SerializeToString()


def score(*nodes) -> list[onnx.NodeProto]:
    """Ten scores from the mean of `z`, made by the nodes."""
    return [
        *nodes,
        helper.make_node("ReduceMean", ["z", "axes"], ["m"], keepdims=0),
        helper.make_node("Unsqueeze", ["m", "last"], ["u"]),
        helper.make_node("Mul", ["u", "weights"], ["y"]),
    ]


WEIGHTS = [
    helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
    helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    helper.make_tensor("weights", TensorProto.FLOAT, [10], np.arange(10.0)),
]


def put_outside(data: bytes) -> bytes:
    model = onnx.load_model_from_string(data)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model.SerializeToString()


def hide_outside() -> bytes:
    """Put external weights into a branch that is never taken."""
    outside = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../w.bin")
    info = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Constant", [], ["z"], value=outside)], "b", [], [info])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    node = helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
    return build(score(node), initializers=[*WEIGHTS, yes])


def test_usual_exports_are_accepted(exported):
    examine_graph(exported, make_sheet())
    examine_graph(export_onnx(nn.Sequential(make_network(), nn.Softmax(1))), make_sheet(output="probabilities"))


def compute(operator: str, *inputs: str, opset: int = 20, **options) -> bytes:
    """Build a graph whose `z` comes from `x` by one operator."""
    extra = {
        "axis": helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
        "huge": helper.make_tensor("huge", TensorProto.INT64, [5], [4000, 1, 3, 1000, 1000]),
    }
    node = helper.make_node(operator, ["x", *inputs], ["z"], **options)
    weights = [*WEIGHTS, *(extra[name] for name in inputs)]
    return build(score(node), initializers=weights, opset=opset)


HAND_MADE = {
    "hidden external data": (hide_outside, "weights 'w' lie in another file"),
    "custom operator": (lambda: compute("Do", domain="elsewhere"), "elsewhere.Do is none of ONNX's own"),
    "unknown operator": (lambda: compute("Do"), "breaks the rules of ONNX"),
    "loop": (lambda: build(score(helper.make_node("Loop", ["", ""], ["z"]))), "Loop may never end"),
    "NaN": (lambda: compute("Sqrt"), "NaN or infinity"),
    "random": (lambda: compute("RandomNormalLike"), "answers the same image differently"),
    "over the batch": (lambda: compute("LpNormalization", axis=0), "beside others"),
    "an opset of the future": (lambda: compute("Identity", opset=99), "rules of ONNX|cannot load the graph"),
    "one size of batch": (lambda: export_onnx(make_network(), dynamic=False), "exactly 2 image.* dynamic first axis"),
    "two inputs": (lambda: export_onnx(Both(), inputs=2), "has 2 inputs and 1 outputs"),
    "a picture as answer": (
        lambda: export_onnx(nn.Conv2d(3, 10, 3)),
        r"answers 4 images with float32 \[4, 10, 30, 30\]",
    ),
}


@pytest.mark.parametrize("kind", HAND_MADE)
def test_a_graph_that_cannot_be_served_is_refused_with_its_reason(kind):
    make, message = HAND_MADE[kind]
    with pytest.raises(ContractViolationError, match=message):
        inspect_graph(make(), make_sheet())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(lambda data: data[:5000], "no ONNX graph, or was cut short"), (put_outside, "lie in another file")],
)
def test_a_spoiled_export_is_refused(exported, spoil, message):
    with pytest.raises(ContractViolationError, match=message):
        inspect_graph(spoil(exported), make_sheet())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": list("012345678")}, r"float32 \[4, 10\]; expected was float32 \[4, 9\]"),
        ({"image_size": 64}, r"takes FLOAT \[None, 3, 32, 32\].*\[N, 3, 64, 64\]"),
        ({"layout": "nhwc"}, r"\[N, 32, 32, 3\]: correct image_size or layout"),
        ({"output": "probabilities"}, "sheet says output: probabilities, but"),
    ],
)
def test_a_sheet_of_another_graph_is_refused(exported, changes, message):
    with pytest.raises(ContractViolationError, match=message):
        inspect_graph(exported, make_sheet(**changes))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08" + np.random.default_rng(0).bytes(5000), "no ONNX graph|rules of ONNX"),
        (compute("Expand", "huge"), "cannot answer|ended the process|rules of ONNX"),
    ],
    ids=["noise", "eats memory"],
)
def test_a_hostile_graph_is_examined_where_it_can_do_no_harm(data, message):
    with pytest.raises(ContractViolationError, match=message):
        examine_graph(data, make_sheet())


def test_a_graph_that_hangs_or_crashes_takes_nothing_down(exported, monkeypatch):
    monkeypatch.setattr(examination, "SECONDS", 0.01)
    with pytest.raises(ContractViolationError, match=r"not examined within 0\.01 s"):
        examine_graph(exported, make_sheet())
    monkeypatch.setattr(examination, "SECONDS", 120)
    monkeypatch.setattr(examination.sys, "executable", "false")
    with pytest.raises(ContractViolationError, match=r"ended the process that examined it \(exit 1\)"):
        examine_graph(exported, make_sheet())


def test_nothing_of_torch_is_needed_to_examine():
    code = "import sys, include.vision.examination; print('torch' in sys.modules)"
    ran = examination.subprocess.run([examination.sys.executable, "-c", code], capture_output=True, check=True)
    assert ran.stdout.strip() == b"False"
