"""Operators that watch a model in service."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce
from windhover.links import DRIFT_REPORT, page_of
from windhover.operators.stage import StageOperator
from windhover.runs import is_backfill, read_moment

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
        from include.monitoring.episodes import record_window

        project = self.read_project()
        report = detect_drift(project, ProfileReport.model_validate(self.profile), self.open_store())
        if report.report:
            self.evidence["Drift report"] = page_of(report.report)
        if not is_backfill(context):
            record_window(project, report, self.open_ledger())
        self.log.info(report.summary)
        return report.model_dump(mode="json")


class MeasurePerformanceOperator(StageOperator):
    """Measure accuracy on the predictions of a window whose labels have come; open an episode when it has fallen.

    :param profile: A `ProfileReport`.
    :param drift: The `DriftReport` of the same window.
    """

    template_fields: Sequence[str] = ("project", "profile", "drift")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "profile": "json", "drift": "json"}

    def __init__(self, *, profile: dict[str, Any], drift: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile
        self.drift = drift

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import DriftReport, ProfileReport
        from include.monitoring.episodes import record_window, report_unfair
        from include.monitoring.performance import measure_performance

        project = self.read_project()
        profile, drift = ProfileReport.model_validate(self.profile), DriftReport.model_validate(self.drift)
        report = measure_performance(project, profile, self.open_store(), drift)
        if not is_backfill(context):
            record_window(project, report, self.open_ledger())
            report_unfair(project, report, self.open_ledger(), context["run_id"])
        self.log.info(report.summary)
        return report.model_dump(mode="json")


class DiagnoseDriftOperator(StageOperator):
    """Find out why the windows of an episode differ, before anything is done about it.

    :param episode: An `EpisodeReport`.
    :param drift: The `DriftReport` of this run's window; where it shows no drift, the episode's own counts.
    :param performance: The `PerformanceReport` of this run's window.
    """

    template_fields: Sequence[str] = ("project", "episode", "drift", "performance")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "project": "json", "episode": "json", "drift": "json", "performance": "json"
    }  # fmt: skip
    operator_extra_links = (DRIFT_REPORT,)

    def __init__(
        self, *, episode: dict[str, Any], drift: dict[str, Any], performance: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.episode = episode
        self.drift = drift
        self.performance = performance

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import DriftReport, EpisodeReport, PerformanceReport
        from include.ledger.episodes import record_diagnosis
        from include.monitoring.diagnosis import diagnose
        from include.monitoring.episodes import choose_window

        episode = EpisodeReport.model_validate(self.episode)
        measured = DriftReport.model_validate(self.drift), PerformanceReport.model_validate(self.performance)
        drift, performance = choose_window(episode, *measured)
        if drift.report:
            self.evidence["Drift report"] = page_of(drift.report)
        diagnosis = diagnose(self.read_project(), episode.id, drift, performance, self.open_store())
        record_diagnosis(self.open_ledger(), diagnosis)
        self.log.info("%s; %s", diagnosis.name, "; ".join(diagnosis.evidence))
        return diagnosis.model_dump(mode="json")


class DecideActionOperator(StageOperator):
    """Choose what is done about the cause: as the project file says, or as the run's `action` and `reason` do.

    :param diagnosis: A `DiagnosisReport`.
    :param performance: A `PerformanceReport`.
    """

    template_fields: Sequence[str] = ("project", "diagnosis", "performance")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "project": "json", "diagnosis": "json", "performance": "json"
    }  # fmt: skip

    def __init__(self, *, diagnosis: dict[str, Any], performance: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.diagnosis = diagnosis
        self.performance = performance

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import DiagnosisReport, PerformanceReport
        from include.ledger.episodes import find_episode
        from include.monitoring.decision import decide_action, override_action
        from include.monitoring.episodes import settle_action

        project, diagnosis = self.read_project(), DiagnosisReport.model_validate(self.diagnosis)
        performance = PerformanceReport.model_validate(self.performance)
        episode = find_episode(self.open_ledger(), diagnosis.episode)
        decision = decide_action(diagnosis, project, performance, missed=episode.trigger == "objective")
        form, person = context["params"], context["dag_run"].triggering_user_name
        if form["action"]:
            decision = override_action(decision, form["action"], project, who=person or "somebody", why=form["reason"])
        elif episode.decision and episode.decision.overridden_by:
            decision = episode.decision
        incident = settle_action(decision, diagnosis, project, self.open_ledger(), context["run_id"])
        told = f"; incident {incident}" if incident else ""
        self.log.info("%s: %s%s", decision.action, "; ".join(decision.reasons), told)
        return decision.model_dump(mode="json")


class RequestRetrainingOperator(StageOperator):
    """Ask for one training per episode, however many windows and runs saw it, or because the schedule says so.

    :param decision: An `ActionDecision`; nothing where there was nothing to decide.
    """

    template_fields: Sequence[str] = ("project", "decision")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "decision": "json"}

    def __init__(self, *, decision: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decision = decision

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ActionDecision, RetrainingRequest
        from include.monitoring.retraining import request_retraining

        if is_backfill(context):
            raise AirflowSkipException("a backfill looks at the past; it asks for no retraining")
        decision = ActionDecision.model_validate(self.decision) if self.decision else None
        request = request_retraining(self.read_project(), decision, self.open_ledger(), context["run_id"])
        if not isinstance(request, RetrainingRequest):
            raise AirflowSkipException(request.why)
        announce(reference := request.model_dump(mode="json"), self.outlets, context)
        return reference
