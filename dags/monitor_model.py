"""
### Monitor model

Compares what the model in service saw and answered with what it was certified on.

**Runs** every hour on the predictions of that hour, or by hand on a window of the form. A stable window ends the run
with `wait_for_drift` skipped. A window with too few predictions proves nothing: the sensor waits for a later one. A
window that differs opens a drift episode, and exactly one retraining is asked for. **Produces** `retraining_request`.

**Safe to clear and re-run:** an episode is answered once.

**Backfill** past hours to see their reports: a backfill opens no episode and asks for no retraining.

Runbook: `docs/runbook.md#monitor_model`
"""

from datetime import timedelta

from airflow.sdk import CronDataIntervalTimetable, Param, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.monitoring import (
    DetectDriftOperator,
    MeasurePerformanceOperator,
    ProfilePredictionsOperator,
    RequestRetrainingOperator,
)
from windhover.sensors.monitoring import DriftSensor

EVERY_HOUR = CronDataIntervalTimetable("0 * * * *", timezone="UTC")
SCHEDULED = "dag_run.run_type == 'scheduled'"
START = (
    "{{ params.start or (data_interval_start if "
    + SCHEDULED
    + " else dag_run.run_after - macros.timedelta(minutes=params.window_minutes)).isoformat() }}"
)
END = "{{ (data_interval_end if " + SCHEDULED + " else dag_run.run_after).isoformat() }}"


def make_form(project: Project):
    """Offer the window of a run started by hand."""
    return {
        "start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Start of the window",
            description="Look at predictions from here, in UTC, until now; empty: as many minutes as below.",
        ),
        "window_minutes": Param(
            project.monitoring.window_minutes,
            type="integer",
            minimum=1,
            title="Window, in minutes",
            description="Length of the window of a run started by hand. Scheduled runs look at their own hour.",
        ),
    }


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.monitor_model",
        schedule=EVERY_HOUR,
        doc_md=__doc__,
        tags=[project.name, "monitoring"],
        params=make_form(project),
        **dag_defaults(project),
    )
    def monitor_model():
        values = literal(project.model_dump(mode="json"))
        profile_predictions = ProfilePredictionsOperator(
            task_id="profile_predictions",
            project=values,
            start=START,
            end=END,
        )
        detect_drift = DetectDriftOperator(task_id="detect_drift", project=values, profile=profile_predictions.output)
        MeasurePerformanceOperator(task_id="measure_performance", project=values, profile=profile_predictions.output)
        wait_for_drift = DriftSensor(
            task_id="wait_for_drift",
            project_name=project.name,
            measured=detect_drift.output,
            poke_interval=5,
            timeout=timedelta(minutes=project.monitoring.wait_minutes).total_seconds(),
            soft_fail=True,
        )
        request_retraining = RequestRetrainingOperator(
            task_id="request_retraining",
            project=values,
            outlets=[ProjectAssets(project.name).retraining_request],
        )
        wait_for_drift >> request_retraining

    monitor_model()


for project in load_valid_projects():
    make_dag(project)
