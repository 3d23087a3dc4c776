"""The operator that asks a person before a model is registered."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from windhover.links import EVALUATION, EXPLANATIONS, MLFLOW_RUN, PAGES, page_of
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import PromotionDecision
    from include.tracking import Tracking

APPROVE, REJECT = "Approve", "Reject"


class ApprovePromotionOperator(HITLOperator, StageOperator):
    """Show an approver the evidence, and wait for the answer under *Required Actions*; no answer in time rejects.

    Where the policy asks for nobody, or there is nothing to promote, it is done at once.

    :param decision: A `PromotionDecision`.
    :param hours: How long it waits.
    """

    template_fields: Sequence[str] = ("project", "decision")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "decision": "json"}
    operator_extra_links = (EVALUATION, EXPLANATIONS, MLFLOW_RUN)

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
        from include.registry.approval import describe_promotion, find_trainer, needs_approval

        decision, project = PromotionDecision.model_validate(self.decision), self.read_project()
        if not needs_approval(decision, project.governance):
            self.log.info(
                "%s: governance.approval is %s, nobody is asked", decision.verdict, project.governance.approval
            )
            return None
        model, tracking = decision.candidate.model, self.open_tracking()
        self.evidence = self._collect_evidence(decision, tracking)
        self.subject = f"Promote a new model of {project.title or project.name}?"
        self.body = describe_promotion(decision, self.evidence, find_trainer(model, tracking))
        return super().execute(context)

    def _collect_evidence(self, decision: "PromotionDecision", tracking: "Tracking") -> dict[str, str]:
        from include.registry.standing import find_explanations

        model = decision.candidate.model
        evidence = {"Evaluation": page_of(decision.candidate.page)}
        # Promotion does not wait for the explanations.
        if explanations := find_explanations(model, self.open_store()):
            evidence["Explanations"] = page_of(explanations)
        versions = {"Versions so far": f"{PAGES}/models/{model.project}"}
        return evidence | {"MLflow run": tracking.run_url(model.run_id)} | versions

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        from include.contracts import PromotionDecision
        from include.ledger.audit import seal_chain
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
        seal_chain(ledger, model.project, self.open_store())
        if approval is None:
            close_answered_episode(ledger, model.project)
            raise AirflowSkipException(f"not promoted, rejected by {approver or 'nobody'}: {reason}")
        return approval.model_dump(mode="json")
