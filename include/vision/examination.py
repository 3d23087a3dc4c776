"""Examine an ONNX graph from elsewhere in a process of its own, before any other loads it."""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx.external_data_helper import uses_external_data

from include.errors import ContractViolationError
from include.settings import REPOSITORY
from include.vision.releases import open_graph
from include.vision.sheets import ImportConfig

SECONDS = 120
# Libraries map a few of these; beyond that, so many copies of the file.
GIBIBYTES, COPIES = 4, 8
STANDARD = ("", "ai.onnx", "ai.onnx.ml")
ENDLESS = ("Loop", "Scan")
PROBES = 4
RELATIVE, ABSOLUTE = 1e-3, 1e-4
FLOAT = onnx.TensorProto.FLOAT


def examine_graph(data: bytes, sheet: ImportConfig) -> None:
    """Check that a graph is whole, plain and bounded, and answers as its sheet says.

    Refused are: external data, operators that are not ONNX's own, loops, inputs or outputs of another shape, a fixed
    batch, and answers that are not finite, change when asked again, or depend on the other images of a batch. A graph
    that crashes, hangs or eats memory takes its own process down and no other.

    :raises ContractViolationError: it is not acceptable; the message says why, and what to do.
    """
    with tempfile.TemporaryDirectory(prefix="windhover-import-") as scratch:
        graph = Path(scratch, "model.onnx")
        graph.write_bytes(data)
        command = [sys.executable, "-m", "include.vision.examination", str(graph), sheet.model_dump_json()]
        try:
            ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ContractViolationError(f"the graph was not examined within {SECONDS} s; simplify it") from error
    if ran.returncode:
        raise ContractViolationError(
            f"the graph ended the process that examined it (exit {ran.returncode}), by what it is or by the memory it "
            f"asks for: {' '.join(ran.stderr.decode(errors='replace').split())[-300:]}"
        )
    if problem := json.loads(ran.stdout)["problem"]:
        raise ContractViolationError(problem)


def inspect_graph(data: bytes, sheet: ImportConfig) -> None:
    """Check a graph in this very process; `examine_graph` spares one that must not die of it.

    :raises ContractViolationError: it is not acceptable.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ContractViolationError("the file is no ONNX graph, or was cut short; export it again") from error
    _check_content(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker and shape inference share no base but Exception
        raise ContractViolationError(
            f"the graph breaks the rules of ONNX: {' '.join(str(error).split())[:300]}"
        ) from error
    _check_input(model, sheet)
    _check_answers(data, sheet)


def _check_content(model: onnx.ModelProto) -> None:
    own = {function.domain for function in model.functions}
    for part in _walk(model):
        if isinstance(part, onnx.TensorProto) and uses_external_data(part):
            raise ContractViolationError(
                f"weights {part.name!r} lie in another file; export with external_data=False, so that one file has all"
            )
        if isinstance(part, onnx.NodeProto) and part.domain not in {*STANDARD, *own}:
            raise ContractViolationError(
                f"operator {part.domain}.{part.op_type} is none of ONNX's own; export without custom operators"
            )
        if isinstance(part, onnx.NodeProto) and part.op_type in ENDLESS:
            raise ContractViolationError(f"operator {part.op_type} may never end; export without loops")


def _walk(message: Message) -> Iterator[Message]:
    """Yield every message inside: also weights in attributes, in branches and in functions."""
    yield message
    if isinstance(message, onnx.TensorProto):
        return
    for field, value in message.ListFields():
        if field.message_type:
            for part in value if field.is_repeated else [value]:
                yield from _walk(part)


def _check_input(model: onnx.ModelProto, sheet: ImportConfig) -> None:
    filled = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in filled]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ContractViolationError(
            f"the graph has {len(inputs)} inputs and {len(model.graph.output)} outputs; export one that takes images "
            "and returns scores"
        )
    tensor = inputs[0].type.tensor_type
    batch, *sides = [one.dim_value if one.HasField("dim_value") else None for one in tensor.shape.dim] or [None]
    expected = [*_image_shape(sheet)]
    fits = len(sides) == len(expected) and all(a in {None, b} for a, b in zip(sides, expected, strict=True))
    if tensor.elem_type != FLOAT or not fits:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ContractViolationError(
            f"the graph takes {kind} {[batch, *sides]}; its sheet says FLOAT [N, {', '.join(map(str, expected))}]: "
            "correct image_size or layout, or export it so"
        )
    if batch is not None:
        raise ContractViolationError(
            f"the graph takes exactly {batch} image(s) at once; export it with a dynamic first axis: "
            "torch.onnx.export(..., dynamic_shapes=({0: torch.export.Dim('N')},))"
        )


def _image_shape(sheet: ImportConfig) -> tuple[int, int, int]:
    side = sheet.image_size
    return (3, side, side) if sheet.layout == "nchw" else (side, side, 3)


def _check_answers(data: bytes, sheet: ImportConfig) -> None:
    session = open_graph(data)
    name = session.get_inputs()[0].name
    images = np.random.default_rng(0).standard_normal((PROBES, *_image_shape(sheet))).astype(np.float32)
    images[0] = 0
    scores = _ask(session, name, images)
    if scores.dtype != np.float32 or scores.shape != (PROBES, len(sheet.classes)):
        raise ContractViolationError(
            f"the graph answers {PROBES} images with {scores.dtype} {list(scores.shape)}; expected was float32 "
            f"[{PROBES}, {len(sheet.classes)}], a score for each class of its sheet"
        )
    if not np.isfinite(scores).all():
        raise ContractViolationError("the graph answers with NaN or infinity; train it again, or export in float32")
    alone = np.concatenate([_ask(session, name, one[None]) for one in images])
    if not (np.array_equal(scores, _ask(session, name, images)) and np.allclose(scores, alone, RELATIVE, ABSOLUTE)):
        raise ContractViolationError(
            "the graph answers the same image differently, when asked again or beside others; export it in evaluation "
            "mode: model.eval()"
        )
    _check_scale(scores, sheet)


def _ask(session: Any, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    try:
        return np.asarray(session.run(None, {name: images})[0])
    except Exception as error:  # onnxruntime's errors share no public base but Exception
        reason = " ".join(str(error).split())[:300]
        raise ContractViolationError(
            f"the graph cannot answer {len(images)} images at once: {reason}; export it with a dynamic first axis"
        ) from error


def _check_scale(scores: NDArray[np.float32], sheet: ImportConfig) -> None:
    sums = scores.sum(axis=1)
    probable = bool((scores >= 0).all() and np.allclose(sums, 1, atol=1e-3))
    if probable != (sheet.output == "probabilities"):
        raise ContractViolationError(
            f"the sheet says output: {sheet.output}, but scores are from {scores.min():.4g} to {scores.max():.4g} and "
            f"add up to {sums.min():.4g} to {sums.max():.4g}; correct it"
        )


def _find_problem(graph: Path, sheet: ImportConfig) -> str:
    data = graph.read_bytes()
    limit = (GIBIBYTES << 30) + COPIES * len(data)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        inspect_graph(data, sheet)
    except ContractViolationError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    found = _find_problem(Path(sys.argv[1]), ImportConfig.model_validate_json(sys.argv[2]))
    sys.stdout.write(json.dumps({"problem": found}))
