"""Releases of untrained networks, for benchmarks of who serves them."""

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

from include.contracts import DatasetRef, EvaluationReport, ModelRef, ModelVersionRef, PromotionDecision, ReleaseRef
from include.contracts.governance import Certificate
from include.ledger import Ledger
from include.ledger.releases import record_release
from include.project import Project
from include.storage import Store, digest_bytes
from include.storage.signing import Signer
from include.vision.decoding import encode_canonical
from include.vision.releases import (
    CERTIFICATE,
    GRAPH,
    GRAPH_EMBEDDING,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    REFERENCE,
    DecodingLimits,
    GoldenImage,
    ReleaseManifest,
    open_graph,
    publish_bundle,
    run_graph,
)

ONE = digest_bytes(b"benchmark")
IMAGE = np.random.default_rng(7).integers(0, 256, (32, 32, 3), dtype=np.uint8)
TOLERANCE = 1e-4


class ReleaseMaker:
    """Publishes and records releases that a serving process takes; each is of weights of its own.

    :ivar confidences: What each release says of `IMAGE`, by its digest.
    """

    def __init__(self, project: Project, home: Path, store: Store, ledger: Ledger) -> None:
        self.project = project
        self.confidences: dict[str, float] = {}
        self._signer = Signer(home, store)
        self._store = store
        self._ledger = ledger

    def make(self, version: int) -> ReleaseRef:
        """Make the release of a version."""
        graph = _build_graph(version, len(self.project.classes))
        model, manifest = self._name_model(version), self._describe(version, graph)
        certificate = self._signer.sign(self._certify(model, graph).model_dump(mode="json"))
        (golden,) = manifest.golden
        files = {GRAPH: graph, CERTIFICATE: certificate, golden.file: encode_canonical(IMAGE)}
        address, digest = publish_bundle(self._store, manifest, {**files, REFERENCE: self._list_answers()})
        release = ReleaseRef(model=model, address=address, digest=digest, parity=0.0)
        record_release(self._ledger, release)
        self.confidences[digest] = max(golden.probabilities)
        return release

    def _name_model(self, version: int) -> ModelVersionRef:
        name, key = self.project.name, digest_bytes(f"version {version}".encode())
        dataset = DatasetRef(project=name, address=f"{name}/images.lance", version=1, digest=ONE, images=1, labelled=1)
        model = ModelRef(project=name, key=key, run_id="none", weights=key, dataset=dataset)
        return ModelVersionRef(model=model, version=version, accuracy=0.9)

    def _describe(self, version: int, graph: bytes) -> ReleaseManifest:
        model = self._name_model(version).model
        probabilities = run_graph(open_graph(graph), IMAGE[None])[0]
        classes = self.project.classes
        return ReleaseManifest(
            project=self.project.name, classes=classes, model_version=version, model_key=model.key,
            weights=model.weights, dataset=ONE, tolerance=TOLERANCE,
            decoding=DecodingLimits.model_validate(self.project.data.model_dump(include=set(DecodingLimits.model_fields))),
            golden=(
                GoldenImage(
                    file="golden/000.png",
                    probabilities=tuple(probabilities.tolist()),
                    predicted=classes[int(probabilities.argmax())],
                ),
            ),
        )  # fmt: skip

    def _certify(self, version: ModelVersionRef, graph: bytes) -> Certificate:
        report = EvaluationReport(
            model=version.model, test_digest=ONE, images=1, accuracy=0.9, macro_f1=0.9, worst_class_recall=0.9,
            recall_by_class={}, accuracy_by_partition={},
        )  # fmt: skip
        return Certificate(
            version=version.version, model=version.model, graph=digest_bytes(graph), code=ONE, lock=ONE,
            configuration=ONE, policy=self.project.promotion.model_dump(mode="json"), approvals=(),
            decision=PromotionDecision(verdict="promote", candidate=report, reasons=("a benchmark",)),
            issued_at=datetime.now(UTC),
        )  # fmt: skip

    def _list_answers(self) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"predicted": list(self.project.classes)}), buffer)
        return buffer.getvalue()


def _build_graph(version: int, classes: int) -> bytes:
    """Draw a small convolutional network with preprocessing and embedding inside, as ours are."""
    draw = np.random.default_rng(version).standard_normal
    weights = {
        "scale": np.float32(1 / 255),
        "first": draw((32, 3, 3, 3), np.float32) / 5,
        "second": draw((64, 32, 3, 3), np.float32) / 17,
        "head": draw((64, classes), np.float32),
        "leaning": np.eye(classes, dtype=np.float32)[version % classes],
    }
    nodes = [
        make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        make_node("Transpose", ["pixels"], ["channels"], perm=[0, 3, 1, 2]),
        make_node("Mul", ["channels", "scale"], ["scaled"]),
        make_node("Conv", ["scaled", "first"], ["edges"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["edges"], ["lit"]),
        make_node("MaxPool", ["lit"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Conv", ["pooled", "second"], ["parts"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["parts"], ["found"]),
        make_node("GlobalAveragePool", ["found"], ["averages"]),
        make_node("Flatten", ["averages"], [GRAPH_EMBEDDING]),
        make_node("Gemm", [GRAPH_EMBEDDING, "head", "leaning"], ["logits"]),
        make_node("Softmax", ["logits"], [GRAPH_OUTPUT]),
    ]
    takes = make_tensor_value_info(GRAPH_INPUT, TensorProto.UINT8, ["N", "H", "W", 3])
    gives = [
        make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in ((GRAPH_OUTPUT, classes), (GRAPH_EMBEDDING, 64))
    ]
    constants = [from_array(np.asarray(value), name) for name, value in weights.items()]
    model = make_model(
        make_graph(nodes, "untrained", [takes], gives, constants), opset_imports=[make_opsetid("", 18)], ir_version=10
    )
    return bytes(model.SerializeToString(deterministic=True))
