"""Operators that watch a model in service."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce
from windhover.links import DRIFT_REPORT, page_of
from windhover.operators.stage import StageOperator, read_moment

if TYPE_CHECKING:
    from airflow.sdk import Context


class ProfilePredictionsOperator(StageOperator):
    """Gather the predictions of one window of time.

    :param start: Start of the window, ISO 8601.
    :param end: End of the window, ISO 8601.
    """

    template_fields: Sequence[str] = ("project", "start", "end")

    def __init__(self, *, start: str, end: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start
        self.end = end

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.monitoring.profile import profile_predictions

        start, end = read_moment(self.start), read_moment(self.end)
        report = profile_predictions(self.read_project(), start, end, self.open_store())
        return report.model_dump(mode="json")


class DetectDriftOperator(StageOperator):
    """Hold a window against the reference its release was certified on; open an episode when it differs.

    A backfill looks at the past: it reports, and opens none.

    :param profile: A `ProfileReport`.
    """

    template_fields: Sequence[str] = ("project", "profile")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "profile": "json"}
    operator_extra_links = (DRIFT_REPORT,)

    def __init__(self, *, profile: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ProfileReport
        from include.monitoring.drift import detect_drift
        from include.monitoring.episodes import record_drift

        report = detect_drift(self.read_project(), ProfileReport.model_validate(self.profile), self.open_store())
        if report.report:
            self.evidence["Drift report"] = page_of(report.report)
        if context["dag_run"].run_type != "backfill":
            record_drift(report, self.open_ledger())
        self.log.info(report.summary)
        return report.model_dump(mode="json")


class MeasurePerformanceOperator(StageOperator):
    """Measure accuracy on the predictions of a window whose labels have come.

    :param profile: A `ProfileReport`.
    """

    template_fields: Sequence[str] = ("project", "profile")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "profile": "json"}

    def __init__(self, *, profile: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ProfileReport
        from include.monitoring.performance import measure_performance

        profile = ProfileReport.model_validate(self.profile)
        report = measure_performance(self.read_project(), profile, self.open_store())
        return report.model_dump(mode="json")


class RequestRetrainingOperator(StageOperator):
    """Ask for one training per drift episode, however many windows and runs saw it."""

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.monitoring.episodes import request_retraining

        request = request_retraining(self.read_project().name, self.open_ledger(), context["run_id"])
        if request is None:
            raise AirflowSkipException("another run has asked for this episode's retraining already")
        announce(reference := request.model_dump(mode="json"), self.outlets, context)
        return reference
