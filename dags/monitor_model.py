"""
### Monitor model

Compares what the model in service saw and answered with what it was certified on.

**Runs** every hour on the predictions of that hour, or by hand on a window of the form. A stable window ends the watch
with `wait_for_drift` skipped. A window with too few predictions proves nothing: the sensor waits for a later one. A
window that differs, or whose labels show worse answers, opens an episode; many windows may confirm it.

`diagnose_drift` names the cause, `decide_action` chooses what the project file says: the source is to be fixed (an
incident), people label images (`relabel_images`, under *Required Actions*), or one training is asked for. It waits
while another training is under way, after one, or when the budget is spent; the next hour asks again. Without drift,
`request_retraining` follows the project's schedule. **Produces** `retraining_request`.

**Choose otherwise** with an action and a reason in the form; both are kept on the audit chain, with your name.

**Safe to clear and re-run:** an episode is answered once.

**Backfill** past hours to see their reports: a backfill opens no episode and asks for no retraining.

Runbook: `docs/runbook.md#monitor_model`
"""

from datetime import timedelta
from typing import get_args

from airflow.sdk import CronDataIntervalTimetable, Param, TriggerRule, dag, literal

from include.contracts import Action
from include.project import Project
from windhover.assets import ProjectAssets
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.monitoring import (
    DecideActionOperator,
    DetectDriftOperator,
    DiagnoseDriftOperator,
    MeasurePerformanceOperator,
    ProfilePredictionsOperator,
    RequestRetrainingOperator,
)
from windhover.operators.relabelling import RelabelImagesOperator
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
        "action": Param(
            None,
            type=["null", "string"],
            enum=[None, *get_args(Action)],
            title="Action",
            description="What is done about the episode that is not over; empty: what the project file says.",
        ),
        "reason": Param(
            "",
            type="string",
            title="Reason",
            description="Why you choose an action yourself. Kept, with your name.",
        ),
    }


def measure_window(values):
    """Profile a window, and hold it against the reference and against labels."""
    profile_predictions = ProfilePredictionsOperator(
        task_id="profile_predictions", project=values, start=START, end=END
    )
    profile = profile_predictions.output
    detect_drift = DetectDriftOperator(task_id="detect_drift", project=values, profile=profile)
    measure_performance = MeasurePerformanceOperator(
        task_id="measure_performance", project=values, profile=profile, drift=detect_drift.output
    )
    return {"drift": detect_drift.output, "performance": measure_performance.output}


def wait_for_episode(project: Project, window):
    """Wait until there is an episode to answer."""
    wait_for_drift = DriftSensor(
        task_id="wait_for_drift",
        project_name=project.name,
        measured=window["drift"],
        performance=window["performance"],
        answered="{{ params.action is not none }}",
        poke_interval=5,
        timeout=timedelta(minutes=project.monitoring.wait_minutes).total_seconds(),
        soft_fail=True,
    )
    return wait_for_drift.output


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.monitor_model",
        schedule=EVERY_HOUR,
        doc_md=__doc__,
        tags=[project.name, "monitoring"],
        params=make_form(project),
        **dag_defaults(project, people_hours=project.monitoring.actions.relabel_hours),
    )
    def monitor_model():
        values = literal(project.model_dump(mode="json"))
        window = measure_window(values)
        episode = wait_for_episode(project, window)
        diagnose_drift = DiagnoseDriftOperator(task_id="diagnose_drift", project=values, episode=episode, **window)
        decide_action = DecideActionOperator(
            task_id="decide_action",
            project=values,
            diagnosis=diagnose_drift.output,
            performance=window["performance"],
        )
        relabel_images = RelabelImagesOperator(
            task_id="relabel_images",
            project=values,
            decision=decide_action.output,
            episode=episode,
            hours=project.monitoring.actions.relabel_hours,
            **window,
        )
        relabel_images >> RequestRetrainingOperator(
            task_id="request_retraining",
            project=values,
            decision="{{ ti.xcom_pull(task_ids='decide_action', map_indexes=-1) }}",
            # Where there is nothing to decide, a training may still be due.
            trigger_rule=TriggerRule.NONE_FAILED,
            outlets=[ProjectAssets(project.name).retraining_request],
        )

    monitor_model()


for project in load_valid_projects():
    make_dag(project)
