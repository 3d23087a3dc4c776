"""Defaults every DAG shares, and the projects they are made for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from include.errors import FINAL, FOREIGN, PermanentError
from include.project import Project, load_projects
from include.settings import load_settings
from windhover.notifications import WindhoverNotifier, report_failure, report_recovery

TRAINING_POOL = "training"

RETRY_UNLESS_PERMANENT = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[PermanentError, *(name for name, handling in FOREIGN.items() if handling in FINAL)],
            action=RetryAction.FAIL,
            reason="the same inputs fail the same way",
        )
    ]
)

LATE_HOURS = 6


def dag_defaults(project: Project, *, people_hours: float = 0, **overrides: Any) -> dict[str, Any]:
    """Return the arguments every DAG of a project starts from.

    :param people_hours: How long a run may wait for people, which makes it none that is late.
    """
    return {
        "start_date": datetime(2020, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 4,
        "deadline": _expect_end(project, LATE_HOURS + people_hours),
        "render_template_as_native_obj": True,
        "default_args": {
            "owner": project.owner,
            "retries": 3,
            "retry_delay": timedelta(seconds=10),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=5),
            "retry_policy": RETRY_UNLESS_PERMANENT,
            "on_failure_callback": report_failure,
            "on_success_callback": report_recovery,
        },
        **overrides,
    }


def _expect_end(project: Project, hours: float) -> DeadlineAlert:
    """Hold a run against the last ones; most of those asked nobody, so that the wait for people is not among theirs."""
    return DeadlineAlert(
        reference=DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=3),
        interval=timedelta(hours=hours),
        callback=AsyncCallback(
            WindhoverNotifier,
            kwargs={
                "what": f"takes {hours:g} hours longer than its last ten runs did",
                "kind": "late_run",
                "runbook": "docs/runbook.md#late-run",
                "project": project.name,
                "owner": project.owner,
            },
        ),
    )


def load_valid_projects() -> list[Project]:
    """Read the project files that are valid; `dags/project_files.py` reports the others.

    One broken file must not take the DAGs of every other project out of the scheduler.
    """
    return load_projects(load_settings().projects)[0]
