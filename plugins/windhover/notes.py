"""Writes why a training runs into its run's note. The scheduler calls this as the run starts, with its record."""

from typing import Any

from airflow.listeners import hookimpl

TRAINING = ".train_model"
# What the column holds.
LONGEST = 1000


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """Note the reason of a training, unless somebody has noted something already."""
    if dag_run.dag_id.endswith(TRAINING) and dag_run.note is None:
        extras = [event.extra or {} for event in dag_run.consumed_asset_events]
        dag_run.note = explain_training(dag_run.run_type, dag_run.triggering_user_name, extras)[:LONGEST]


def explain_training(run_type: str, person: str | None, extras: list[dict[str, Any]]) -> str:
    """Say what a training answers: requests, new data, or a person.

    :param extras: What the events carry that started it.
    """
    requests = [f"{extra['reason']} (mode: {extra.get('mode', 'full')})" for extra in extras if "reason" in extra]
    if requests:
        return "; ".join(requests)
    if run_type == "manual" or not extras:
        return f"demand: started by {person or 'somebody'}"
    versions = sorted({extra["version"] for extra in extras if "version" in extra})
    return f"new data: dataset version {', '.join(map(str, versions)) or 'announced by hand'}"
