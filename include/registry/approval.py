"""Ask a person for a promotion: which ones need it, what is shown, and what the answer means."""

from collections.abc import Mapping
from datetime import datetime

from include.contracts import ApprovalReport, ModelRef, PromotionDecision
from include.errors import NotCertifiedError
from include.ledger import Ledger
from include.ledger.audit import record_entry
from include.project import GovernanceConfig
from include.tracking import TRAINER_TAG, Tracking

NOBODY = "nobody"


def needs_approval(decision: PromotionDecision, governance: GovernanceConfig) -> bool:
    """Tell whether a person has to agree before a model is registered; a model that is not promoted needs nobody."""
    if decision.verdict != "promote":
        return False
    return governance.approval == "always" or (governance.approval == "first_release" and decision.champion is None)


def describe_promotion(decision: PromotionDecision, evidence: Mapping[str, str], trainer: str | None) -> str:
    """Say in Markdown what would be promoted and why.

    :param evidence: Address of every page to read before answering, by its name.
    :param trainer: Who started the training, if a person did.
    """
    candidate, champion = decision.candidate, decision.champion
    against = f"{champion.accuracy:.2%} of the champion" if champion else "no champion: this is the first release"
    lines = [
        f"Model `{candidate.model.key.removeprefix('sha256:')[:12]}`, trained on dataset version "
        f"{candidate.model.dataset.version}: **{candidate.accuracy:.2%}** right on {candidate.images} sealed test "
        f"images ({against}); its worst class is found {candidate.worst_class_recall:.2%} of the time.",
        "",
        *(f"- {reason}" for reason in decision.reasons),
        "",
        "Read first: " + " · ".join(f"[{name}]({address})" for name, address in evidence.items()),
        "",
        f"{trainer} started the training and cannot approve it." if trainer else "No person started the training.",
        "No answer in time is a rejection.",
    ]
    return "\n".join(lines)


def settle_approval(
    model: ModelRef,
    ledger: Ledger,
    tracking: Tracking,
    *,
    approved: bool,
    approver: str | None,
    reason: str,
    at: datetime,
) -> ApprovalReport | None:
    """Put an answer on the audit chain; return who answers for the model, or nothing where it was turned down.

    :param approver: Who answered; nobody did so in time: none.
    :raises NotCertifiedError: the one who approves is the one who started the training.
    """
    trainer = find_trainer(model, tracking)
    if approved and approver == trainer:
        raise NotCertifiedError(
            f"{approver} started the training of model {model.key} and cannot approve it as well; clear this task, and "
            "let somebody else answer"
        )
    record_entry(
        ledger, model.project, "approval", f"model {model.key}", who=approver or NOBODY, why=reason, approved=approved
    )
    return ApprovalReport(approver=approver, reason=reason, at=at) if approved and approver else None


def find_trainer(model: ModelRef, tracking: Tracking) -> str | None:
    """Return who started a model's training; nobody in person did where data or drift started it."""
    with tracking.connect() as client:
        tags: dict[str, str] = client.get_run(model.run_id).data.tags
    return tags.get(TRAINER_TAG)
