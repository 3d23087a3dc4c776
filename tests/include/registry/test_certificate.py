import json
from datetime import UTC, datetime

import pytest

from include.contracts import ApprovalReport, ModelVersionRef
from include.errors import ContractViolationError, NotCertifiedError
from include.ledger.certificates import find_certificate
from include.project import PromotionPolicy
from include.registry.certificate import ORIGIN, issue_certificate
from include.storage import digest_bytes
from include.tracking import MODEL_FOLDER
from include.vision.certificates import certificate_address, read_certificate
from include.vision.graphs import graph_address


@pytest.fixture
def issue(quick_project, store, ledger, tracking):
    def call(decision, **options):
        version = ModelVersionRef(model=decision.candidate.model, version=1, accuracy=0.99)
        return issue_certificate(version, decision, quick_project, store, ledger, tracking, **options)

    return call


def test_names_everything_a_version_was_certified_with(issue, decide, quick_project, store, ledger):
    decision = decide()
    approval = ApprovalReport(approver="Someone", reason="looked at it", at=datetime(2026, 3, 1, tzinfo=UTC))
    signed = issue(decision, approvals=[approval])
    certificate = read_certificate(signed, store)
    model = decision.candidate.model
    assert (certificate.version, certificate.model, certificate.decision) == (1, model, decision)
    assert certificate.graph == digest_bytes(store.read(graph_address(model)))
    for name in ORIGIN:
        assert getattr(certificate, name) == digest_bytes(name.encode())
    assert PromotionPolicy.model_validate(certificate.policy) == quick_project.promotion
    assert certificate.approvals == (approval,)
    assert store.read(certificate_address(quick_project.name, 1)) == signed
    assert find_certificate(ledger, quick_project.name, 1) == signed


def test_the_first_certificate_of_a_version_stays(issue, decide, quick_project, store):
    first = issue(decide())
    store.remove(certificate_address(quick_project.name, 1))
    assert issue(decide()) == first
    assert store.read(certificate_address(quick_project.name, 1)) == first


@pytest.mark.parametrize("name", ORIGIN)
@pytest.mark.parametrize("value", [None, "none"])
def test_a_model_of_unknown_origin_is_not_certified(issue, decide, tracking, name, value):
    decision = decide()
    with tracking.connect() as client:
        if value is None:
            client.delete_tag(decision.candidate.model.run_id, ORIGIN[name])
        else:
            client.set_tag(decision.candidate.model.run_id, ORIGIN[name], value)
    with pytest.raises(NotCertifiedError, match=f"does not say with which {name} model"):
        issue(decision)


def test_weights_that_were_changed_are_not_certified(issue, decide, tracking, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"others")
    decision = decide()
    with tracking.connect() as client:
        client.log_artifacts(decision.candidate.model.run_id, str(tmp_path), MODEL_FOLDER)
    with pytest.raises(ContractViolationError, match="its artifacts were changed"):
        issue(decision)


def test_a_signed_rejection_certifies_nothing(issue, decide, store):
    signed = issue(decide(verdict="reject"))
    assert json.loads(signed)["document"]["decision"]["verdict"] == "reject"
    with pytest.raises(NotCertifiedError, match="rests on the verdict 'reject'"):
        read_certificate(signed, store)
