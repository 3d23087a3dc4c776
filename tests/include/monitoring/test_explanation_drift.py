import io
from datetime import timedelta

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from include.contracts import DatasetRef, ExplanationDriftReport, PromotionDecision
from include.contracts.governance import Certificate
from include.errors import ArtifactNotFoundError
from include.ledger.incidents import list_incidents
from include.monitoring.explanation_drift import (
    ENOUGH,
    GRID,
    Explained,
    judge_maps,
    measure_explanation_drift,
    report_moved,
)
from include.predictions import append_rows
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.storage.signing import Signer
from include.vision.decoding import encode_canonical
from include.vision.releases import CERTIFICATE, GRAPH, DecodingLimits, GoldenImage, ReleaseManifest, publish_bundle
from tests.include.monitoring.conftest import END, START
from tests.plugins.samples import EVALUATION

ALPHA = 1 / 13
SIDE, SPOT = 24, 8


@pytest.fixture
def quick_project(project):
    return project


def build_graph() -> bytes:
    """Score the second class by the light of two corners."""
    mask = np.zeros((SIDE, SIDE, 3), np.float32)
    mask[:SPOT, :SPOT] = mask[-SPOT:, -SPOT:] = 1 / (3 * SPOT**2)
    constants = {
        "mask": mask,
        "all": np.array([1, 2, 3]),
        "column": np.array([-1, 1]),
        "weights": np.array([[0, 0.05]], np.float32),
        "bias": np.array([0, -4], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "mask"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "all"], ["light"], keepdims=0),
        helper.make_node("Reshape", ["light", "column"], ["feature"]),
        helper.make_node("Gemm", ["feature", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "corners",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def shine(corner: str, seed: int) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 30, (SIDE, SIDE, 3)).astype(np.uint8)
    spot = np.s_[:SPOT, :SPOT] if corner == "first" else np.s_[-SPOT:, -SPOT:]
    image[spot] = 230
    return image


@pytest.fixture
def release(store, project, publish, tmp_path) -> str:
    """A release that was certified on images whose first corner is bright."""
    dataset: DatasetRef = publish([(shine("first", seed), "1") for seed in range(40)], split=lambda _: "validation")
    digest = digest_bytes(b"model")
    model = EVALUATION.model.model_copy(update={"dataset": dataset})
    certificate = Certificate(
        version=1, model=model, graph=digest, code=digest, lock=digest, configuration=digest, policy={},
        decision=PromotionDecision(
            verdict="promote", candidate=EVALUATION.model_copy(update={"model": model}), reasons=("enough",)
        ),
        issued_at=START,
    )  # fmt: skip
    manifest = ReleaseManifest(
        project=project.name, classes=("0", "1"), model_version=1, model_key=digest, weights=digest,
        dataset=dataset.digest, decoding=DecodingLimits(formats=("JPEG",), max_bytes=10**6, max_pixels=10**6),
        golden=(GoldenImage(file="golden/0.png", probabilities=(0.1, 0.9), predicted="1"),), tolerance=1e-4,
    )  # fmt: skip
    signed = Signer(tmp_path / "home", store).sign(certificate.model_dump(mode="json"))
    files = {GRAPH: build_graph(), "golden/0.png": encode_canonical(shine("first", 0)), CERTIFICATE: signed}
    return publish_bundle(store, manifest, files)[1]


def keep(store, project, release: str, corner: str, images: int) -> None:
    rows = []
    for index in range(images):
        address = f"{project.name}/images/served/{corner}-{index}"
        store.write(address, encode_canonical(shine(corner, 100 + index)))
        rows.append(
            {"request_id": address, "time": START + timedelta(seconds=index), "project": project.name}
            | {"release": release, "answered_by": "champion", "predicted": "1", "image": address}
        )
    append_rows(store, "predictions", corner, rows)


def test_answers_that_rest_on_the_same_are_stable(store, project, release):
    keep(store, project, release, "first", 30)
    report = measure_explanation_drift(project, START, END, store)
    assert (report.verdict, report.images, report.certified, report.release) == ("stable", 30, 40, release)
    assert report.moved < 0.05


def test_answers_that_rest_on_something_else_have_drifted(store, project, release):
    keep(store, project, release, "last", 30)
    report = measure_explanation_drift(project, START, END, store)
    assert report.verdict == "drift"
    assert report.p_value == 0.001
    assert report.moved > 0.5
    sheet = np.asarray(Image.open(io.BytesIO(store.read(report.sheet))))
    assert sheet[0, 0] > sheet[-1, 255]
    assert sheet[0, 256] < sheet[-1, -1]


def test_a_kept_image_that_is_gone_or_damaged_is_left_out(store, project, release):
    keep(store, project, release, "first", 30)
    store.remove(f"{project.name}/images/served/first-3")
    store.write(f"{project.name}/images/served/first-4", b"damaged")
    assert measure_explanation_drift(project, START, END, store).images == 28


def test_kept_images_that_are_all_gone_prove_nothing(store, project, release):
    keep(store, project, release, "first", 30)
    store.remove(f"{project.name}/images/served")
    report = measure_explanation_drift(project, START, END, store)
    assert (report.verdict, report.images, report.sheet) == ("insufficient", 0, None)


def test_too_few_kept_images_prove_nothing(store, project, release):
    keep(store, project, release, "last", ENOUGH - 1)
    report = measure_explanation_drift(project, START, END, store)
    assert (report.verdict, report.p_value, report.sheet) == ("insufficient", None, None)


def test_without_the_certified_images_nothing_can_be_said(store, project, release):
    keep(store, project, release, "last", 30)
    store.remove(f"{project.name}/images.lance")
    with pytest.raises(ArtifactNotFoundError):
        measure_explanation_drift(project, START, END, store)


def draw(images: int, seed: int, classes: int = 3) -> Explained:
    """What answers rest on: another part of the image for each class, give or take."""
    chance = np.random.default_rng(seed)
    answers = chance.integers(classes, size=images)
    maps = chance.dirichlet(np.ones(GRID**2), images).reshape(images, GRID, GRID)
    maps[np.arange(images), answers, answers] += 1
    return Explained(answers, maps / maps.sum(axis=(1, 2), keepdims=True))


def test_healthy_weeks_raise_no_more_alarms_than_promised():
    alarms = sum(judge_maps(draw(60, seed), draw(60, seed + 500), ALPHA)["verdict"] == "drift" for seed in range(12))
    assert alarms <= 2


def test_another_mix_of_classes_is_no_drift():
    one_class = draw(400, 2)
    chosen = np.flatnonzero(one_class.answers == 0)
    mostly = Explained(one_class.answers[chosen], one_class.maps[chosen])
    assert judge_maps(draw(200, 1), mostly, ALPHA)["verdict"] == "stable"


def test_answers_that_were_never_certified_cannot_be_compared():
    other = draw(60, 1)
    assert judge_maps(draw(60, 2), Explained(other.answers + 9, other.maps), ALPHA)["verdict"] == "insufficient"
    nothing = Explained(np.array([], np.int64), np.empty((0, GRID, GRID)))
    assert judge_maps(draw(60, 2), nothing, ALPHA)["verdict"] == "insufficient"


def test_what_has_moved_is_one_incident_and_what_has_not_is_none(project, ledger):
    window = {"project": project.name, "start": START, "end": END, "release": digest_bytes(b"release"), "images": 60}
    moved = ExplanationDriftReport.model_validate({**window, "verdict": "drift", "summary": "drift: 30%"})
    assert report_moved(project, moved.model_copy(update={"verdict": "stable"}), ledger, "run 1") is None
    assert report_moved(project, moved, ledger, "run 2") == report_moved(project, moved, ledger, "run 3")
    (incident,) = list_incidents(ledger, project.name, 10)
    assert (incident.kind, incident.owner, incident.seen) == ("drift", project.owner, 2)
    assert (REPOSITORY / incident.runbook.partition("#")[0]).exists()
