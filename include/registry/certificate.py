"""Issue the certificate of a version: what it is made of, what was measured, by which rules, and who approved."""

from collections.abc import Sequence
from datetime import UTC, datetime

from include.contracts import ApprovalReport, ModelVersionRef, PromotionDecision
from include.contracts.governance import Certificate
from include.errors import NotCertifiedError
from include.ledger import Ledger
from include.ledger.certificates import find_certificate, record_certificate
from include.project import Project
from include.settings import load_settings
from include.storage import Store, digest_bytes
from include.storage.signing import Signer
from include.tracking import Tracking
from include.vision.certificates import certificate_address
from include.vision.graphs import export_once

# What made a model, as its training run is tagged.
ORIGIN = {"code": "windhover.code", "lock": "windhover.lock", "configuration": "windhover.configuration"}


def issue_certificate(
    version: ModelVersionRef,
    decision: PromotionDecision,
    project: Project,
    store: Store,
    ledger: Ledger,
    tracking: Tracking,
    approvals: Sequence[ApprovalReport] = (),
) -> bytes:
    """Sign the certificate of a version, or find the one that was issued; it is in the ledger and in the store.

    :raises NotCertifiedError: the training run does not say what the model was made with.
    :raises ContractViolationError: the weights are not those that were trained.
    """
    signed = find_certificate(ledger, project.name, version.version)
    if signed is None:
        certificate = _write_certificate(version, decision, project, store, tracking, approvals)
        signed = Signer(load_settings().home, store).sign(certificate.model_dump(mode="json"))
        signed = record_certificate(ledger, project.name, version.version, version.model.key, signed)
    store.write(certificate_address(project.name, version.version), signed)
    return signed


def _write_certificate(
    version: ModelVersionRef,
    decision: PromotionDecision,
    project: Project,
    store: Store,
    tracking: Tracking,
    approvals: Sequence[ApprovalReport],
) -> Certificate:
    graph = export_once(version.model, tracking.fetch_candidate(version.model), store)
    return Certificate(
        version=version.version,
        model=version.model,
        graph=digest_bytes(graph),
        decision=decision,
        policy=project.promotion.model_dump(mode="json"),
        approvals=tuple(approvals),
        issued_at=datetime.now(UTC),
        **_read_origin(version, tracking),
    )


def _read_origin(version: ModelVersionRef, tracking: Tracking) -> dict[str, str]:
    """Read from the training run what made the model."""
    with tracking.connect() as client:
        tags = client.get_run(version.model.run_id).data.tags
    known = {name: tags[tag] for name, tag in ORIGIN.items() if tags.get(tag, "").startswith("sha256:")}
    missing = sorted(set(ORIGIN) - set(known))
    if missing:
        raise NotCertifiedError(
            f"run {version.model.run_id} does not say with which {', '.join(missing)} model {version.model.key} was "
            "made, so nobody can certify it; train it again"
        )
    return known
