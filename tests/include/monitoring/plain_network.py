"""A network that is taught in a second: averages of 4 x 4 pixels, one hidden layer, which is its embedding."""

from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.neural_network import MLPClassifier

from benchmarks.digit_network import Split
from benchmarks.drift_causes import Ground
from include.vision.releases import GRAPH_EMBEDDING, GRAPH_INPUT, GRAPH_OUTPUT

SIDE, CELL, HIDDEN = 32, 4, 32


def teach_plain(train: Split, _: Split) -> bytes:
    """Teach it, and return the graph: uint8 [N, 32, 32, 3] in, probabilities and embedding out."""
    images = np.stack(train.images).astype(np.float32).mean(axis=3) / 255
    cells = images.reshape(-1, SIDE // CELL, CELL, SIDE // CELL, CELL).mean(axis=(2, 4)).reshape(len(images), -1)
    model = MLPClassifier((HIDDEN,), max_iter=300, tol=1e-3, random_state=0).fit(cells, train.labels)
    return _build(*model.coefs_, *model.intercepts_)


@cache
def plain_ground() -> Ground:
    """Give a project of digits whose network knows all but the last of them."""
    return Ground(teach_plain)


def _build(first, second, first_bias, second_bias) -> bytes:
    constants = {
        "white": np.float32(255),
        "cells": np.array([-1, SIDE // CELL, CELL, SIDE // CELL, CELL], np.int64),
        "flat": np.array([-1, (SIDE // CELL) ** 2], np.int64),
        "colours": np.array([3], np.int64),
        "inside": np.array([2, 4], np.int64),
        "w1": first.astype(np.float32),
        "b1": first_bias.astype(np.float32),
        "w2": second.astype(np.float32),
        "b2": second_bias.astype(np.float32),
    }
    steps = [
        ("Cast", [GRAPH_INPUT], "pixels", {"to": TensorProto.FLOAT}),
        ("ReduceMean", ["pixels", "colours"], "grey", {"keepdims": 0}),
        ("Div", ["grey", "white"], "scaled", {}),
        ("Reshape", ["scaled", "cells"], "grid", {}),
        ("ReduceMean", ["grid", "inside"], "small", {"keepdims": 0}),
        ("Reshape", ["small", "flat"], "row", {}),
        ("Gemm", ["row", "w1", "b1"], "hidden", {}),
        ("Relu", ["hidden"], GRAPH_EMBEDDING, {}),
        ("Gemm", [GRAPH_EMBEDDING, "w2", "b2"], "logits", {}),
        ("Softmax", ["logits"], GRAPH_OUTPUT, {"axis": 1}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in steps],
        "plain",
        [helper.make_tensor_value_info(GRAPH_INPUT, TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info(GRAPH_OUTPUT, TensorProto.FLOAT, ["N", second.shape[1]]),
            helper.make_tensor_value_info(GRAPH_EMBEDDING, TensorProto.FLOAT, ["N", HIDDEN]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
