"""Sensors that judge rollouts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator

from include.contracts import RolloutRef, RolloutReport
from include.errors import RolloutFailedError
from include.settings import load_settings
from windhover.hooks.ledger import LedgerHook
from windhover.links import ENDPOINT, ROLLOUTS, rollouts_of
from windhover.triggers.deployment import RolloutTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class RolloutSensor(BaseSensorOperator):
    """Judge a rollout until it is ready to be completed; harm, or a deadline without evidence, fails the task.

    By then its traffic is taken away already. Marking the task as failed aborts the rollout.

    :param project: The project file as JSON.
    :param rollout: A `RolloutRef`.
    """

    template_fields: Sequence[str] = ("project", "rollout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "rollout": "json"}
    operator_extra_links = (ENDPOINT, ROLLOUTS)
    evidence: dict[str, str]

    def __init__(self, *, project: dict[str, Any], rollout: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.rollout = rollout
        self.evidence = {}

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.deployment.rollout import open_evidence, watch_rollout

        self._leave_evidence()
        rollout, settings, ledger = RolloutRef.model_validate(self.rollout), load_settings(), LedgerHook().open_ledger()
        store = settings.open_store()
        report = watch_rollout(rollout, ledger, store, open_evidence(rollout, ledger, store))
        if report is None:
            self.defer(trigger=RolloutTrigger(self.rollout, self.poke_interval), method_name="rule")
        return self.rule(context, report.model_dump(mode="json"))

    def rule(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Pass a release on that proved itself; fail with the reasons of any other."""
        self._leave_evidence()
        report = RolloutReport.model_validate(event)
        for metric in report.metrics:
            self.log.info("%s: %s, %s", metric.metric, metric.verdict, metric.seen)
        if report.verdict != "promote":
            raise RolloutFailedError(f"rollout {report.rollout.id}: {'; '.join(report.reasons)}")
        return event

    def _leave_evidence(self) -> None:
        self.evidence["Endpoint"] = load_settings().serving_page
        self.evidence["Rollouts"] = rollouts_of(self.project["name"])
