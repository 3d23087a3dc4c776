import io
import os
import subprocess
import sys

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from include.contracts import EvaluationReport, ModelRef, ModelVersionRef, PromotionDecision, ReleaseRef
from include.deployment.package import package_model
from include.errors import (
    ArtifactNotFoundError,
    ContractViolationError,
    DataQualityError,
    NotCertifiedError,
    ParityError,
)
from include.ledger.certificates import find_certificate
from include.ledger.releases import find_release
from include.predictions import PREDICTIONS, STATISTICS
from include.registry.certificate import ORIGIN, issue_certificate
from include.settings import REPOSITORY
from include.storage import digest_folder
from include.tracking import MODEL_FOLDER
from include.vision.certificates import require_certificate
from include.vision.export import export_graph
from include.vision.graphs import graph_address
from include.vision.networks import build_classifier
from include.vision.releases import open_graph, open_release, run_graph
from include.vision.weights import save_classifier

KEY = "sha256:" + "b" * 64
ATTEMPT = """
import sys
from include.contracts import ModelVersionRef
from include.deployment.package import package_model
from include.ledger import Ledger
from include.project import Project
from include.storage import Store
from include.tracking import Tracking
version, project, store, ledger, tracking = sys.argv[1:]
release = package_model(
    ModelVersionRef.model_validate_json(version),
    Project.model_validate_json(project),
    Store(store),
    Ledger(ledger),
    Tracking(tracking),
)
print(release.model_dump_json())
"""


@pytest.fixture
def certify(publish, digit_images, project, store, ledger, tracking, tmp_path):
    """Put an untrained classifier into MLflow as version 3, over a published dataset, and certify it."""

    def make(graph: bytes | None = None, *, certified: bool = True, **split) -> ModelVersionRef:
        dataset = publish(digit_images[:80], **split)
        torch.manual_seed(1)
        classifier = build_classifier(project.training, len(project.classes))
        weights = save_classifier(classifier, project.training, project.classes, tmp_path / "model")
        with tracking.connect() as client:
            run = client.create_run(tracking.find_experiment(project.name), tags=dict.fromkeys(ORIGIN.values(), KEY))
            client.log_artifacts(run.info.run_id, str(tmp_path / "model"), MODEL_FOLDER)
        model = ModelRef(project=project.name, key=KEY, run_id=run.info.run_id, weights=weights, dataset=dataset)
        version = ModelVersionRef(model=model, version=3, accuracy=0.9)
        if graph:
            store.write(graph_address(model), graph)
        if certified:
            issue_certificate(version, promote(model), project, store, ledger, tracking)
        return version

    return make


def promote(model: ModelRef) -> PromotionDecision:
    measured = dict.fromkeys(("accuracy", "macro_f1", "worst_class_recall"), 0.9)
    report = {"model": model, "test_digest": KEY, "images": 10, "recall_by_class": {}, "accuracy_by_partition": {}}
    candidate = EvaluationReport.model_validate(measured | report)
    return PromotionDecision(verdict="promote", candidate=candidate, reasons=("accuracy 0.9 is enough",))


def test_a_release_holds_all_it_needs_and_is_recorded(certify, project, store, ledger, tracking):
    version = certify()
    release = package_model(version, project, store, ledger, tracking)

    bundle = open_release(store, release)
    assert find_release(ledger, project.name, release.digest) == release
    assert release.address == f"digits/releases/{release.digest[7:]}"
    assert release.parity <= project.deployment.max_parity_difference
    assert bundle.manifest.model_version == 3
    assert bundle.manifest.classes == project.classes
    reference = pq.read_table(bundle.reference)
    assert len(reference) == 10
    assert set(reference["width"].to_pylist()) == {32.0}
    logged = [field for field in reference.schema if field.name in PREDICTIONS.names]
    assert logged == [PREDICTIONS.field(field.name) for field in logged]
    assert {*STATISTICS, "predicted", "confidence", "probabilities", "embedding"} == {field.name for field in logged}
    assert set(reference.column_names) - set(PREDICTIONS.names) == {"label", "digest"}

    graph = open_graph(bundle.graph)
    described = {row["digest"]: row for row in reference.to_pylist()}
    for golden in bundle.manifest.golden:
        assert described[golden.image]["predicted"] == golden.predicted
        assert described[golden.image]["probabilities"] == list(golden.probabilities)
    assert {len(row["embedding"]) for row in described.values()} == {64}
    assert len(bundle.manifest.golden) == 10
    for golden in bundle.manifest.golden:
        image = np.array(Image.open(io.BytesIO((bundle.folder / golden.file).read_bytes())))
        assert np.array_equal(run_graph(graph, image[None])[0], np.float32(golden.probabilities))


def test_packaging_again_and_twice_at_once_gives_the_same_release(
    certify, project, store, ledger, ledger_uri, tracking
):
    version = certify()
    first = package_model(version, project, store, ledger, tracking)
    store.remove("digits/releases")
    arguments = [version.model_dump_json(), project.model_dump_json(), store.root, ledger_uri, tracking.uri]
    command = [sys.executable, "-c", ATTEMPT, *arguments]
    attempts = [
        subprocess.Popen(command, cwd=REPOSITORY, env=os.environ, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [attempt.communicate()[0] for attempt in attempts]
    assert [ReleaseRef.model_validate_json(answer) for answer in answers] == [first, first]
    assert {address.split("/")[2] for address in store.list("digits/releases")} == {
        first.digest.removeprefix("sha256:")
    }


def test_another_release_of_golden_images_is_another_digest(certify, project, store, ledger, tracking):
    version = certify()
    fewer = project.model_copy(update={"deployment": project.deployment.model_copy(update={"golden_images": 2})})
    first = package_model(version, project, store, ledger, tracking)
    second = package_model(version, fewer, store, ledger, tracking)
    assert first.digest != second.digest
    assert len(open_release(store, second).manifest.golden) == 2


def test_a_release_carries_the_certificate_of_its_version(certify, project, store, ledger, tracking):
    version = certify()
    release = package_model(version, project, store, ledger, tracking)
    certificate = require_certificate(release, open_release(store, release), store)
    assert (certificate.version, certificate.model) == (3, version.model)
    assert open_release(store, release).certificate.read_bytes() == find_certificate(ledger, project.name, 3)


def test_a_version_without_a_certificate_is_not_released(certify, project, store, ledger, tracking):
    version = certify(certified=False)
    with pytest.raises(NotCertifiedError, match="version 3 has no certificate; run `register_model`"):
        package_model(version, project, store, ledger, tracking)


def test_another_graph_than_the_certified_one_is_not_released(certify, project, store, ledger, tracking):
    version = certify()
    graph = onnx.load_model_from_string(store.read(graph_address(version.model)))
    graph.doc_string = "answers the same, and is another file"
    store.write(graph_address(version.model), graph.SerializeToString())
    with pytest.raises(NotCertifiedError, match=r"graph is sha256:.*, certified is sha256:"):
        package_model(version, project, store, ledger, tracking)
    with pytest.raises(ArtifactNotFoundError, match="has no release"):
        find_release(ledger, project.name, store.list("digits/releases")[0])


def test_a_graph_that_answers_otherwise_is_not_released(certify, project, store, ledger, tracking):
    torch.manual_seed(2)
    version = certify(export_graph(build_classifier(project.training, len(project.classes)).eval()))
    with pytest.raises(ParityError, match=r"version 3 differs .* over 10 validation images"):
        package_model(version, project, store, ledger, tracking)
    assert not store.exists("digits/releases")


def test_no_validation_images_is_no_pass(certify, project, store, ledger, tracking):
    version = certify(split=lambda _: "train")
    with pytest.raises(DataQualityError, match="no validation images"):
        package_model(version, project, store, ledger, tracking)


def test_a_release_damaged_in_the_store_is_noticed(certify, project, store, ledger, tracking):
    version = certify()
    release = package_model(version, project, store, ledger, tracking)
    (store.fetch(release.address) / "release.json").write_text("{}")
    assert digest_folder(store.fetch(release.address)) != release.digest
    with pytest.raises(ContractViolationError, match="remove the folder and package"):
        package_model(version, project, store, ledger, tracking)
