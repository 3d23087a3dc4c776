"""Certified versions without a training: what the ledger and the store keep of them."""

from datetime import UTC, datetime

from include.contracts import ApprovalReport, ModelVersionRef, PromotionDecision
from include.contracts.governance import Certificate
from include.ledger import Ledger
from include.ledger.audit import seal_chain
from include.ledger.certificates import record_certificate
from include.ledger.models import move_alias, record_decision, record_model_version
from include.settings import load_settings
from include.storage import Store, digest_bytes
from include.storage.signing import Signer
from include.vision.certificates import certificate_address
from include.vision.graphs import graph_address
from tests.plugins.samples import EVALUATION, MODEL

GRAPH = b"a graph"
AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
APPROVAL = ApprovalReport(approver="bea", reason="looks <b>right</b>", at=AT)


def certify(number: int, store: Store, ledger: Ledger, *, signed: bool = True) -> Certificate:
    """Register one version of the digits, approved by bea, as the registry does."""
    digest = digest_bytes(f"{number}".encode())
    model = MODEL.model_copy(update={"key": digest, "weights": digest})
    report = EVALUATION.model_copy(update={"model": model})
    decision = PromotionDecision(verdict="promote", candidate=report, reasons=("accuracy 0.9500 is enough",))
    certificate = Certificate(
        version=number, model=model, graph=digest_bytes(GRAPH), code=digest, lock=digest, configuration=digest,
        decision=decision, policy={}, approvals=(APPROVAL,), issued_at=AT,
    )  # fmt: skip
    version = ModelVersionRef(model=model, version=number, accuracy=0.95)
    record_decision(ledger, decision, who="digits.promote_model/1")
    if signed:
        document = Signer(load_settings().home, store).sign(certificate.model_dump(mode="json"))
        record_certificate(ledger, "digits", number, model.key, document)
        store.write(certificate_address("digits", number), document)
        store.write(graph_address(model), GRAPH)
    seal_chain(ledger, "digits", store)
    record_model_version(ledger, version, who="digits.promote_model/1", why="accuracy 0.9500 is enough")
    seal_chain(ledger, "digits", store)
    return certificate


def crown(number: int, ledger: Ledger, *, before: int | None = None, who: str = "digits.deploy_model/1") -> None:
    """Make a version the champion."""
    move_alias(ledger, "digits", "champion", expected=before, version=number, reason="it came up", who=who)
