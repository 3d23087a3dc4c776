from datetime import timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferralError

from include.contracts import DriftReport
from include.ledger.episodes import answer_episode, open_episode
from tests.plugins.samples import DRIFT, STABLE
from tests.plugins.task_runs import make_run, run_task
from windhover.sensors.monitoring import DriftSensor
from windhover.triggers.monitoring import DriftTrigger

REPORT = {"_link_drift_report": "/windhover/reports/digits/reports/drift/1/index.html"}
INSUFFICIENT = STABLE.model_copy(update={"verdict": "insufficient", "summary": "3 predictions prove nothing"})


@pytest.fixture
def wait(load_dag, ledger_connection, api_server):
    dag = load_dag("monitor_model")

    def run(measured=DRIFT, run_type="manual", **resumed):
        api_server.returned["detect_drift"] = measured.model_dump(mode="json")
        return run_task(api_server, dag, "wait_for_drift", make_run(dag.dag_id, run_type), **resumed)

    return run


def test_an_open_episode_is_found_at_once(wait, ledger_connection, api_server):
    open_episode(ledger_connection, DRIFT)
    outcome = wait()
    assert outcome.state == "success"
    assert DriftReport.model_validate(api_server.returned["wait_for_drift"]) == DRIFT
    assert outcome.links == REPORT


def test_a_stable_window_is_skipped_at_once(wait, ledger_connection):
    open_episode(ledger_connection, DRIFT)
    assert wait(STABLE).state == "skipped"


def test_a_backfill_is_skipped_whatever_it_saw(wait, ledger_connection):
    open_episode(ledger_connection, DRIFT)
    assert wait(DRIFT, "backfill").state == "skipped"


def test_too_little_evidence_waits_for_a_later_window(wait, project):
    outcome = wait(INSUFFICIENT)
    assert outcome.state == "deferred"
    assert outcome.message.trigger_timeout == timedelta(minutes=project.monitoring.wait_minutes)
    assert DriftTrigger(**outcome.message.trigger_kwargs).serialize()[1] == {
        "project_name": "digits", "poke_interval": 5.0,
    }  # fmt: skip


def test_an_episode_that_is_answered_already_is_not_waited_for(wait, ledger_connection):
    answer_episode(ledger_connection, open_episode(ledger_connection, DRIFT), "another run")
    assert wait().state == "skipped"


def test_the_triggers_event_is_passed_on_with_its_link(wait, api_server):
    outcome = wait(INSUFFICIENT, next_method="report", next_kwargs={"event": DRIFT.model_dump(mode="json")})
    assert outcome.state == "success"
    assert DriftReport.model_validate(api_server.returned["wait_for_drift"]) == DRIFT
    assert outcome.links == REPORT


def test_no_drift_in_time_is_skipped(wait):
    assert wait(next_method="__fail__", next_kwargs={"error": "Trigger timeout"}).state == "skipped"


def test_a_watch_that_died_is_no_proof_of_stability(wait):
    outcome = wait(next_method="__fail__", next_kwargs={"error": "Trigger failure"})
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, TaskDeferralError)


def test_works_in_any_dag_without_a_measured_window(ledger_connection):
    open_episode(ledger_connection, DRIFT)
    sensor = DriftSensor(task_id="wait_for_drift", project_name="digits")
    assert sensor.execute({"dag_run": make_run("theirs", "manual")}) == DRIFT.model_dump(mode="json")
