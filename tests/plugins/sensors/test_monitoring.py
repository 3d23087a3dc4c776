from datetime import timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferralError

from include.contracts import EpisodeReport
from include.ledger.episodes import answer_episode, find_episode, open_episode
from tests.plugins.samples import DEGRADED, DRIFT, EPISODE, PERFORMANCE, STABLE
from tests.plugins.task_runs import make_run, run_task
from windhover.sensors.monitoring import DriftSensor
from windhover.triggers.monitoring import DriftTrigger

REPORT = {"_link_drift_report": "/windhover/reports/digits/reports/drift/1/index.html"}
INSUFFICIENT = STABLE.model_copy(update={"verdict": "insufficient", "summary": "3 predictions prove nothing"})
AGAIN = {"action": "ignore", "reason": "the lens stays"}


@pytest.fixture
def wait(load_dag, ledger_connection, api_server):
    dag = load_dag("monitor_model")

    def run(measured=DRIFT, run_type="manual", performance=PERFORMANCE, form=None, **resumed):
        api_server.returned["detect_drift"] = measured.model_dump(mode="json")
        api_server.returned["measure_performance"] = performance.model_dump(mode="json")
        return run_task(api_server, dag, "wait_for_drift", make_run(dag.dag_id, run_type, conf=form or {}), **resumed)

    return run


@pytest.mark.parametrize(("measured", "performance"), [(DRIFT, PERFORMANCE), (STABLE, DEGRADED)])
def test_an_open_episode_is_found_at_once(wait, ledger_connection, api_server, measured, performance):
    number = open_episode(ledger_connection, DRIFT)
    outcome = wait(measured, performance=performance)
    assert outcome.state == "success"
    assert EpisodeReport.model_validate(api_server.returned["wait_for_drift"]) == find_episode(
        ledger_connection, number
    )
    assert outcome.links == REPORT


def test_worse_answers_have_no_drift_report_to_link(wait, ledger_connection):
    open_episode(ledger_connection, DEGRADED)
    outcome = wait(INSUFFICIENT)
    assert (outcome.state, outcome.links) == ("success", {"_link_drift_report": ""})


def test_a_stable_window_is_skipped_at_once(wait, ledger_connection):
    open_episode(ledger_connection, DRIFT)
    assert wait(STABLE).state == "skipped"


def test_stable_images_do_not_end_the_question_of_worse_answers(wait, ledger_connection):
    open_episode(ledger_connection, DEGRADED)
    assert wait(STABLE).state == "success"
    assert wait(STABLE, performance=PERFORMANCE.model_copy(update={"verdict": "stable"})).state == "skipped"


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


@pytest.mark.parametrize(("measured", "performance"), [(DRIFT, PERFORMANCE), (STABLE, DEGRADED)])
def test_an_episode_that_is_answered_already_is_not_waited_for(wait, ledger_connection, measured, performance):
    answer_episode(ledger_connection, open_episode(ledger_connection, DRIFT), "another run")
    assert wait(measured, performance=performance).state == "skipped"


def test_who_chooses_an_action_gets_the_episode_that_is_answered_already(wait, ledger_connection):
    answer_episode(ledger_connection, open_episode(ledger_connection, DRIFT), "another run")
    assert wait(STABLE, form=AGAIN).state == "success"


def test_who_chooses_an_action_without_an_episode_is_not_kept_waiting(wait):
    assert wait(INSUFFICIENT, form=AGAIN).state == "skipped"


def test_the_triggers_event_is_passed_on_with_its_link(wait, api_server):
    outcome = wait(INSUFFICIENT, next_method="report", next_kwargs={"event": EPISODE.model_dump(mode="json")})
    assert outcome.state == "success"
    assert EpisodeReport.model_validate(api_server.returned["wait_for_drift"]) == EPISODE
    assert outcome.links == REPORT


def test_no_drift_in_time_is_skipped(wait):
    assert wait(next_method="__fail__", next_kwargs={"error": "Trigger timeout"}).state == "skipped"


def test_a_watch_that_died_is_no_proof_of_stability(wait):
    outcome = wait(next_method="__fail__", next_kwargs={"error": "Trigger failure"})
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, TaskDeferralError)


def test_works_in_any_dag_without_a_measured_window(ledger_connection):
    number = open_episode(ledger_connection, DRIFT)
    sensor = DriftSensor(task_id="wait_for_drift", project_name="digits")
    found = EpisodeReport.model_validate(sensor.execute({"dag_run": make_run("theirs", "manual")}))
    assert found == find_episode(ledger_connection, number)
