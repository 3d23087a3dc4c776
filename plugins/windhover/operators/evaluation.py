"""Operators that judge models."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from include.errors import ArtifactNotFoundError
from windhover.assets import read_announcement
from windhover.links import EVALUATION, EXPLANATIONS, MLFLOW_RUN, page_of
from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


class SelectCandidateOperator(StageOperator):
    """Take the newest announced candidate."""

    def execute(self, context: "Context") -> dict[str, Any]:
        candidate = read_announcement(self.inlets[0], context)
        if candidate is None:
            raise ArtifactNotFoundError("no candidate was ever announced; run the project's train_model DAG first")
        return candidate


class EvaluateCandidateOperator(StageOperator):
    """Measure the candidate on the sealed test split of its dataset.

    :param candidate: A `ModelRef`.
    """

    template_fields: Sequence[str] = ("project", "candidate")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "candidate": "json"}
    operator_extra_links = (EVALUATION, MLFLOW_RUN)

    def __init__(self, *, candidate: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def execute(self, context: "Context") -> dict[str, Any] | None:
        from include.contracts import ModelRef
        from include.evaluation.evaluate import evaluate_model

        candidate, tracking = ModelRef.model_validate(self.candidate), self.open_tracking()
        self.evidence["MLflow run"] = tracking.run_url(candidate.run_id)
        self.reads = [candidate, candidate.dataset]
        report = evaluate_model(candidate, candidate.dataset, self.read_project(), self.open_store(), tracking)
        self.evidence["Evaluation"] = page_of(report.page)
        return report.model_dump(mode="json")


class ExplainCandidateOperator(EvaluateCandidateOperator):
    """Show where the candidate looks, and what is left of it without border, corners and colour; it gates nothing."""

    operator_extra_links = (EXPLANATIONS, MLFLOW_RUN)

    def execute(self, context: "Context") -> dict[str, Any] | None:
        from include.contracts import ModelRef
        from include.evaluation.probes import explain_model

        candidate, tracking = ModelRef.model_validate(self.candidate), self.open_tracking()
        self.evidence["MLflow run"] = tracking.run_url(candidate.run_id)
        self.reads = [candidate, candidate.dataset]
        address, removals = explain_model(candidate, self.read_project(), self.open_store(), tracking)
        self.evidence["Explanations"] = page_of(address)
        for one in removals:
            level = logging.WARNING if one.suspicious else logging.INFO
            self.log.log(level, "without %s: accuracy %.4f, %.4f lower", one.cue, one.accuracy, one.drop)
        return {"page": address, "removals": [one.model_dump(mode="json") for one in removals]}


class EvaluateChampionOperator(EvaluateCandidateOperator):
    """Measure the champion on the candidate's sealed test split; without a champion there is no report."""

    def execute(self, context: "Context") -> dict[str, Any] | None:
        from include.contracts import ModelRef
        from include.evaluation.evaluate import evaluate_model
        from include.registry.aliases import find_champion

        project = self.read_project()
        champion = find_champion(project.name, self.open_ledger())
        if champion is None:
            self.log.info("%s has no champion yet; the candidate is held against the floors alone", project.name)
            return None
        dataset, tracking = ModelRef.model_validate(self.candidate).dataset, self.open_tracking()
        self.evidence["MLflow run"] = tracking.run_url(champion.model.run_id)
        self.reads = [champion.model, dataset]
        report = evaluate_model(champion.model, dataset, project, self.open_store(), tracking)
        self.evidence["Evaluation"] = page_of(report.page)
        return report.model_dump(mode="json")


class DecidePromotionOperator(StageOperator):
    """Decide by the project file's criteria whether the candidate may replace the champion.

    :param candidate: An `EvaluationReport`.
    :param champion: An `EvaluationReport` on the same test split, or nothing.
    """

    template_fields: Sequence[str] = ("project", "candidate", "champion")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "candidate": "json", "champion": "json"}

    def __init__(self, *, candidate: dict[str, Any], champion: dict[str, Any] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate
        self.champion = champion

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import EvaluationReport
        from include.evaluation.compare import compare_models
        from include.evaluation.decide import decide_promotion
        from include.ledger.models import record_decision

        project, candidate = self.read_project(), EvaluationReport.model_validate(self.candidate)
        champion = EvaluationReport.model_validate(self.champion) if self.champion else None
        comparisons = compare_models(candidate, champion, project, self.open_store()) if champion else ()
        decision = decide_promotion(candidate, champion, project.promotion, comparisons)
        record_decision(self.open_ledger(), decision, who=name_attempt(context))
        self.log.info("%s: %s", decision.verdict, "; ".join(decision.reasons))
        return decision.model_dump(mode="json")
