"""Operators that register models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce
from windhover.links import MODEL_CARD, page_of
from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegisterModelOperator(StageOperator):
    """Register a promoted candidate as a certified version; skip a rejected one, with the reasons.

    :param decision: A `PromotionDecision`.
    :param approval: An `ApprovalReport`; nothing where nobody had to be asked.
    """

    template_fields: Sequence[str] = ("project", "decision", "approval")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "decision": "json", "approval": "json"}
    operator_extra_links = (MODEL_CARD,)

    def __init__(self, *, decision: dict[str, Any], approval: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.approval = approval

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ApprovalReport, PromotionDecision
        from include.ledger.episodes import close_answered_episode
        from include.registry.model_card import card_address
        from include.registry.register import register_model

        decision = PromotionDecision.model_validate(self.decision)
        project, ledger = self.read_project(), self.open_ledger()
        if decision.verdict != "promote":
            close_answered_episode(ledger, project.name)
            raise AirflowSkipException(f"not registered: {'; '.join(decision.reasons)}")
        approvals = [ApprovalReport.model_validate(self.approval)] if self.approval else []
        version = register_model(
            decision, project, self.open_store(), ledger, self.open_tracking(), name_attempt(context), approvals
        )
        self.evidence["Model card"] = page_of(card_address(version))
        announce(reference := version.model_dump(mode="json"), self.outlets, context)
        return reference
