"""Sensors that watch a model in service."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferralError

from include.contracts import DriftReport
from windhover.hooks.ledger import LedgerHook
from windhover.links import DRIFT_REPORT, page_of
from windhover.triggers.monitoring import DriftTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class DriftSensor(BaseSensorOperator):
    """Wait, without holding a worker slot, until a project has a drift episode that nobody has answered.

    Usable in any DAG: `DriftSensor(task_id="wait_for_drift", project_name="digits")`.

    :param project_name: The project to watch.
    :param measured: A `DriftReport` this run has measured already. A stable window settles the question: the task is
        skipped at once instead of waiting.
    """

    template_fields: Sequence[str] = ("project_name", "measured")
    template_fields_renderers: ClassVar[dict[str, str]] = {"measured": "json"}
    operator_extra_links = (DRIFT_REPORT,)
    evidence: dict[str, str]

    def __init__(self, *, project_name: str, measured: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project_name = project_name
        self.measured = measured
        self.evidence = {}

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.monitoring.episodes import find_drift

        if context["dag_run"].run_type == "backfill":
            raise AirflowSkipException("a backfill looks at the past; it asks for no retraining")
        window = DriftReport.model_validate(self.measured) if self.measured else None
        if window and window.verdict == "stable":
            raise AirflowSkipException(window.summary)
        found = find_drift(self.project_name, LedgerHook().open_ledger())
        if found is None and window and window.verdict == "drift":
            raise AirflowSkipException(f"another run has answered this episode already; {window.summary}")
        if found is None:
            self.log.info("no unanswered drift episode of %s yet; waiting", self.project_name)
            self.defer(
                trigger=DriftTrigger(self.project_name, self.poke_interval),
                method_name="report",
                timeout=timedelta(seconds=self.timeout),
            )
        return self.report(context, found[1].model_dump(mode="json"))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: "Context") -> Any:
        """Skip, with `soft_fail`, when the time is up, but not when the trigger died: then nobody has looked."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException as skip:
            if isinstance(skip.__cause__, TaskDeferralError):
                raise skip.__cause__ from None
            raise

    def report(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Return the drift that was found."""
        if (page := DriftReport.model_validate(event).report) is not None:
            self.evidence["Drift report"] = page_of(page)
        return event
