"""Sensors that judge rollouts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator

from include.contracts import RolloutRef, RolloutReport
from include.errors import RolloutFailedError
from include.project import Project
from include.settings import load_settings
from windhover.links import ENDPOINT
from windhover.triggers.deployment import RolloutTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class RolloutSensor(BaseSensorOperator):
    """Wait until the serving process answers with a release, or refuses it; an unhealthy one fails the task.

    :param project: The project file as JSON.
    :param rollout: A `RolloutRef`.
    """

    template_fields: Sequence[str] = ("project", "rollout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "rollout": "json"}
    operator_extra_links = (ENDPOINT,)
    evidence: dict[str, str]

    def __init__(self, *, project: dict[str, Any], rollout: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.rollout = rollout
        self.evidence = {}

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.deployment.rollout import judge_rollout

        settings, policy = load_settings(), Project.model_validate(self.project).deployment
        deadline = datetime.now(UTC) + timedelta(seconds=policy.ready_seconds)
        report = judge_rollout(RolloutRef.model_validate(self.rollout), settings.serving_uri, deadline)
        if report is None:
            self.defer(
                trigger=RolloutTrigger(self.rollout, settings.serving_uri, deadline.isoformat(), self.poke_interval),
                method_name="rule",
            )
        return self.rule(context, report.model_dump(mode="json"))

    def rule(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Pass a healthy release on; fail with the reasons of an unhealthy one."""
        self.evidence["Endpoint"] = load_settings().serving_page
        report = RolloutReport.model_validate(event)
        if report.verdict == "unhealthy":
            raise RolloutFailedError(f"rollout {report.rollout.id}: {'; '.join(report.reasons)}")
        return event
