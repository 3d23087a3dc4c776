"""Sensors that watch a model in service."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferralError

from include.contracts import DriftReport, EpisodeReport, PerformanceReport
from windhover.hooks.ledger import LedgerHook
from windhover.links import DRIFT_REPORT, page_of
from windhover.runs import is_backfill, read_moment
from windhover.triggers.monitoring import DriftTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


# A scheduled run stands for its data interval, or for its tick where it has none, and may start late. Any other run
# begins when it was asked for: the interval Airflow gives it lies before, and its start moves when it is cleared.
RUN_BEGAN = "{{ (dag_run.run_type == 'scheduled' and dag_run.data_interval_start or dag_run.run_after).isoformat() }}"


class DriftSensor(BaseSensorOperator):
    """Wait, without holding a worker slot, until a project has an episode of drift; return it.

    Usable in any DAG: `DriftSensor(task_id="wait_for_drift", project_name="digits")` takes one that has opened since
    the run began. A run that has measured a window itself is there to answer: it takes one that nobody has answered.

    :param project_name: The project to watch.
    :param since: Take the newest episode that opened from here on, answered, over or not: a moment, in UTC where it has
        no offset. Empty: as above.
    :param measured: A `DriftReport` this run has measured already. A stable window settles the question: the task is
        skipped at once instead of waiting.
    :param performance: A `PerformanceReport` of the same window; one that has degraded is as good as drift.
    :param answered: Take the episode that is not over, though it was answered already: a person wants to answer it
        anew. Skipped at once where there is none.
    """

    template_fields: Sequence[str] = ("project_name", "since", "measured", "performance", "answered")
    template_fields_renderers: ClassVar[dict[str, str]] = {"measured": "json", "performance": "json"}
    operator_extra_links = (DRIFT_REPORT,)
    evidence: dict[str, str]

    def __init__(
        self,
        *,
        project_name: str,
        since: datetime | str | None = None,
        measured: dict[str, Any] | None = None,
        performance: dict[str, Any] | None = None,
        answered: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_name = project_name
        self.since = since or (RUN_BEGAN if measured is None else None)
        self.measured = measured
        self.performance = performance
        self.answered = answered
        self.evidence = {}

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.monitoring.episodes import find_drift

        if is_backfill(context):
            raise AirflowSkipException("a backfill looks at the past; it asks for no retraining")
        again = bool(self.answered)
        # In UTC: a moment with another offset does not survive the way to the triggerer.
        since = read_moment(str(self.since)).astimezone(UTC) if self.since and not again else None
        found = find_drift(self.project_name, LedgerHook().open_ledger(), answered=again, since=since)
        differs = None if again else self._read_window(found)
        if found is None and (differs or again):
            raise AirflowSkipException(differs or f"{self.project_name} has no episode to answer anew")
        if found is None:
            wanted = f"that opened since {since}" if since else "that nobody has answered"
            self.log.info("no episode of %s %s yet; waiting", self.project_name, wanted)
            self.defer(
                trigger=DriftTrigger(self.project_name, self.poke_interval, since),
                method_name="report",
                timeout=timedelta(seconds=self.timeout),
            )
        return self.report(context, found.model_dump(mode="json"))

    def _read_window(self, found: EpisodeReport | None) -> str | None:
        """Say why nobody waits where this run's window differs; None where it proves nothing.

        :raises AirflowSkipException: the window is stable. Images that are say nothing about answers that were worse,
            and neither says anything about an objective that is missed.
        """
        drift = DriftReport.model_validate(self.measured) if self.measured else None
        performance = PerformanceReport.model_validate(self.performance) if self.performance else None
        if performance and performance.verdict == "degraded":
            return f"another run has answered this episode already; {performance.summary}"
        right = performance is not None and performance.verdict == "stable"
        recovered = found is None or found.trigger == "drift" or (found.trigger == "degradation" and right)
        if drift and drift.verdict == "stable" and recovered:
            raise AirflowSkipException(drift.summary)
        if drift and drift.verdict == "drift":
            return f"another run has answered this episode already; {drift.summary}"
        return None

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: "Context") -> Any:
        """Skip, with `soft_fail`, when the time is up, but not when the trigger died: then nobody has looked."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException as skip:
            if isinstance(skip.__cause__, TaskDeferralError):
                raise skip.__cause__ from None
            raise

    def report(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Return the episode that was found."""
        drift = EpisodeReport.model_validate(event).drift
        if drift and drift.report:
            self.evidence["Drift report"] = page_of(drift.report)
        return event
