import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts import ModelVersionRef
from include.errors import ArtifactNotFoundError
from include.registry.certificate import issue_certificate
from include.registry.verify import verify_version
from include.vision.certificates import certificate_address
from include.vision.graphs import graph_address


def write_answers(store, address, right, images=200):
    labels = ["0"] * images
    predicted = ["0"] * right + ["1"] * (images - right)
    buffer = io.BytesIO()
    schema = pa.schema({"label": pa.string(), "predicted": pa.string()})
    pq.write_table(pa.table({"label": labels, "predicted": predicted}, schema), buffer)
    store.write(address, buffer.getvalue())


@pytest.fixture
def decision(decide, store):
    """A promotion whose answers lie in the store."""
    write_answers(store, "answers.parquet", right=198)
    made = decide()
    return made.model_copy(update={"candidate": made.candidate.model_copy(update={"answers": "answers.parquet"})})


@pytest.fixture
def certify(decision, quick_project, store, ledger, tracking):
    def call(decision=decision, version=1):
        reference = ModelVersionRef(model=decision.candidate.model, version=version, accuracy=0.99)
        issue_certificate(reference, decision, quick_project, store, ledger, tracking)

    return call


@pytest.fixture
def verify(quick_project, store, ledger):
    """Verify version 1; deciding again gives what was certified."""

    def call(judge=lambda certificate: certificate.decision, version=1):
        report = verify_version(quick_project.name, version, store, lambda: ledger, judge)
        return report, {check.check: check.found for check in report.checks if not check.passed}

    return call


def test_a_certified_version_verifies_without_any_service(certify, verify):
    certify()
    report, failed = verify()
    assert (report.valid, report.verdict, failed) == (True, "promote", {})
    assert [check.check for check in report.checks] == ["signature", "name", "graph", "data", "answers", "verdict"]


def test_a_version_that_was_never_certified_is_said_so(verify, quick_project):
    with pytest.raises(ArtifactNotFoundError, match=f"{quick_project.name} has no certificate of version 7"):
        verify(version=7)


def test_a_changed_certificate_fails_at_its_signature(certify, verify, store, quick_project):
    certify()
    address = certificate_address(quick_project.name, 1)
    store.write(address, store.read(address).replace(b'"accuracy":0.99', b'"accuracy":0.98'))
    report, failed = verify()
    assert (report.valid, report.verdict) == (False, "none")
    assert "changed after it was signed" in failed["signature"]


def test_a_certificate_in_the_place_of_another_is_found(certify, verify, store, quick_project):
    certify(version=2)
    store.write(certificate_address(quick_project.name, 1), store.read(certificate_address(quick_project.name, 2)))
    assert verify()[1] == {"name": f"the certificate is that of {quick_project.name} version 2"}


def test_a_changed_graph_is_found(certify, verify, store, decision):
    certify()
    store.write(graph_address(decision.candidate.model), b"another")
    assert "certified is sha256:" in verify()[1]["graph"]


def test_changed_data_is_found(certify, verify, store, publish, digit_images, decision):
    certify()
    store.remove(decision.candidate.model.dataset.address)
    publish(digit_images[8:16])
    assert list(verify()[1]) == ["data"]


@pytest.mark.parametrize(("right", "images"), [(197, 200), (99, 100), (0, 0)])
def test_changed_answers_are_found(certify, verify, store, right, images):
    certify()
    write_answers(store, "answers.parquet", right, images)
    assert f"on {images} images, certified is 0.990000 on 200" in verify()[1]["answers"]


def test_a_file_that_holds_no_answers_is_found(certify, verify, store):
    certify()
    store.write("answers.parquet", b"not parquet")
    assert "answers.parquet holds no answers" in verify()[1]["answers"]


def test_missing_answers_are_no_pass(certify, verify, store, decide):
    certify(decide())
    assert "kept no answers" in verify()[1]["answers"]


def test_another_verdict_is_found(certify, verify):
    certify()
    report, failed = verify(lambda one: one.decision.model_copy(update={"verdict": "reject"}))
    assert (report.valid, report.verdict) == (False, "reject")
    assert failed["verdict"].startswith("decided again it is reject")
