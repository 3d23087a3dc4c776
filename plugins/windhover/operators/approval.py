"""The operator that asks a person before a model is registered."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from windhover.links import EVALUATION, MLFLOW_RUN, page_of
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"


class ApprovePromotionOperator(HITLOperator, StageOperator):
    """Show an approver the evidence, and wait for the answer under *Required Actions*; no answer in time rejects.

    Where the policy asks for nobody, or there is nothing to promote, it is done at once.

    :param decision: A `PromotionDecision`.
    :param hours: How long it waits.
    """

    template_fields: Sequence[str] = ("project", "decision")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "decision": "json"}
    operator_extra_links = (EVALUATION, MLFLOW_RUN)

    def __init__(self, *, decision: dict[str, Any], hours: float, **kwargs: Any) -> None:
        super().__init__(
            subject="Promote the candidate?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            response_timeout=timedelta(hours=hours),
            params={"reason": Param("", type="string", title="Reason", description="Kept, with your name.")},
            **kwargs,
        )
        self.decision = decision

    def execute(self, context: "Context") -> Any:
        from include.contracts import PromotionDecision
        from include.registry.approval import describe_promotion, needs_approval

        decision, project = PromotionDecision.model_validate(self.decision), self.read_project()
        if not needs_approval(decision, project.governance):
            self.log.info(
                "%s: governance.approval is %s, nobody is asked", decision.verdict, project.governance.approval
            )
            return None
        model, evaluation = decision.candidate.model, page_of(decision.candidate.page)
        self.evidence = {"Evaluation": evaluation, "MLflow run": self.open_tracking().run_url(model.run_id)}
        self.subject = f"Promote a new model of {project.title or project.name}?"
        self.body = describe_promotion(decision, self.evidence)
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        from include.contracts import PromotionDecision
        from include.ledger.episodes import close_answered_episode
        from include.registry.approval import settle_approval

        answer = super().execute_complete(context, event)
        model, person = PromotionDecision.model_validate(self.decision).candidate.model, answer["responded_by_user"]
        reason = answer["params_input"].get("reason") or ("no reason given" if person else "nobody answered in time")
        ledger, approver = self.open_ledger(), person["name"] if person else None
        approved = answer["chosen_options"] == [APPROVE]
        approval = settle_approval(
            model, ledger, self.open_tracking(),
            approved=approved, approver=approver, reason=reason, at=answer["responded_at"],
        )  # fmt: skip
        if approval is None:
            close_answered_episode(ledger, model.project)
            raise AirflowSkipException(f"not promoted, rejected by {approver or 'nobody'}: {reason}")
        return approval.model_dump(mode="json")
