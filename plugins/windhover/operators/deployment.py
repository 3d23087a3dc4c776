"""Operators that put models into service and take them out again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from include.errors import ArtifactNotFoundError
from windhover.assets import announce, read_announcement
from windhover.links import ENDPOINT, MODEL_CARD, page_of
from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


class PackageModelOperator(StageOperator):
    """Export the newest certified version to a servable release, and prove that both answer alike."""

    operator_extra_links = (MODEL_CARD,)

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ModelVersionRef
        from include.deployment.package import package_model
        from include.registry.model_card import card_address

        announcement = read_announcement(self.inlets[0], context)
        if announcement is None:
            raise ArtifactNotFoundError("no model was ever certified; run the project's promote_model DAG first")
        version = ModelVersionRef.model_validate(announcement)
        self.evidence["Model card"] = page_of(card_address(version))
        release = package_model(
            version, self.read_project(), self.open_store(), self.open_ledger(), self.open_tracking()
        )
        return release.model_dump(mode="json")


class RollOutOperator(StageOperator):
    """Ask the serving process to serve a release.

    :param release: A `ReleaseRef`.
    """

    template_fields: Sequence[str] = ("project", "release")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "release": "json"}

    def __init__(self, *, release: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ReleaseRef
        from include.deployment.rollout import roll_out

        rollout = roll_out(ReleaseRef.model_validate(self.release), self.open_ledger(), context["run_id"])
        return rollout.model_dump(mode="json")


class CompleteRolloutOperator(StageOperator):
    """Crown the model of a healthy rollout champion, and close the drift episode it answers.

    :param verdict: A `RolloutReport`.
    """

    template_fields: Sequence[str] = ("project", "verdict")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "verdict": "json"}
    operator_extra_links = (ENDPOINT,)

    def __init__(self, *, verdict: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import RolloutReport
        from include.deployment.rollout import complete_rollout
        from include.ledger.audit import seal_chain
        from include.ledger.episodes import close_episodes
        from include.registry.aliases import crown_champion

        rollout, ledger = RolloutReport.model_validate(self.verdict).rollout, self.open_ledger()
        project, reason = self.read_project().name, f"rollout {rollout.id} is healthy"
        complete_rollout(rollout, ledger)
        crown_champion(rollout.release.model, ledger, self.open_tracking(), reason=reason, who=name_attempt(context))
        seal_chain(ledger, project, self.open_store())
        close_episodes(ledger, project)
        self.evidence["Endpoint"] = self.read_settings().serving_page
        announce(reference := rollout.release.model_dump(mode="json"), self.outlets, context)
        return reference


class RollBackOperator(StageOperator):
    """Return to the release that served before, when the rollout did not prove healthy, or a person marks it so.

    The run's note says why; what a person takes back is on the audit chain.

    :param rollout: A `RolloutRef`; nothing when the run failed before its rollout began.
    """

    template_fields: Sequence[str] = ("project", "rollout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "rollout": "json"}
    operator_extra_links = (ENDPOINT,)

    def __init__(self, *, rollout: dict[str, Any] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import RolloutRef, RolloutReport
        from include.deployment.rollout import roll_back
        from include.ledger.audit import seal_chain

        if self.rollout is None:
            raise AirflowSkipException("the run failed before anything was rolled out; the old release still serves")
        rollout, ledger = RolloutRef.model_validate(self.rollout), self.open_ledger()
        reason = context["dag_run"].note or "judge_rollout failed; its log has the reasons"
        report = RolloutReport(rollout=rollout, verdict="unhealthy", reasons=(reason,))
        roll_back(report, ledger, who=name_attempt(context))
        seal_chain(ledger, self.read_project().name, self.open_store())
        self.evidence["Endpoint"] = self.read_settings().serving_page
        return rollout.model_dump(mode="json")
