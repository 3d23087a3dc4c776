from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferralError
from airflow.sdk.serde import deserialize

from include.contracts import EpisodeReport
from include.ledger.episodes import answer_episode, close_episodes, find_episode, open_episode, record_action
from tests.plugins.samples import DECISION, DEGRADED, DRIFT, EPISODE, PERFORMANCE, STABLE
from tests.plugins.task_runs import NOW, make_run, run_task
from tests.plugins.triggers.firing import fire
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


def test_stable_windows_do_not_end_the_question_of_a_missed_objective(wait, ledger_connection):
    steady = PERFORMANCE.model_copy(update={"verdict": "stable"})
    open_episode(ledger_connection, steady, missed=True)
    assert wait(STABLE, performance=steady).state == "success"


def test_worse_answers_ask_again_what_was_answered_without_a_training(wait, ledger_connection):
    number = open_episode(ledger_connection, DRIFT)
    ignored = DECISION.model_copy(update={"episode": number, "action": "ignore"})
    record_action(ledger_connection, ignored)
    answer_episode(ledger_connection, number, "another run")
    open_episode(ledger_connection, DEGRADED)
    assert wait(STABLE, performance=DEGRADED).state == "success"


def test_a_backfill_is_skipped_whatever_it_saw(wait, ledger_connection):
    open_episode(ledger_connection, DRIFT)
    assert wait(DRIFT, "backfill").state == "skipped"


def test_too_little_evidence_waits_for_a_later_window(wait, project):
    outcome = wait(INSUFFICIENT)
    assert outcome.state == "deferred"
    assert outcome.message.trigger_timeout == timedelta(minutes=project.monitoring.wait_minutes)
    assert DriftTrigger(**outcome.message.trigger_kwargs).serialize()[1] == {
        "project_name": "digits", "poke_interval": 5.0, "since": None,
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


def read_trigger(outcome):
    """Return what the trigger is made of, as the triggerer reads it."""
    return deserialize(outcome.message.trigger_kwargs)


@pytest.fixture
def watch(ledger_connection, api_server):
    """Run the sensor in somebody else's DAG."""

    def run(run_type="manual", native=False, resumed=None, times=None, **arguments):
        with DAG("theirs", schedule=None, render_template_as_native_obj=native) as dag:
            DriftSensor(task_id="wait_for_drift", project_name="digits", **arguments)
        described = make_run("theirs", run_type, **{"run_after": datetime.now(UTC)} | (times or {}))
        return run_task(api_server, dag, "wait_for_drift", described, **resumed or {})

    return run


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("run_type", ["scheduled", "manual", "asset_triggered"])
def test_any_dag_hears_of_an_episode_that_opens_although_it_was_answered_meanwhile(
    watch, ledger_connection, api_server, run_type, native
):
    outcome = watch(run_type, native)
    assert outcome.state == "deferred"
    number = open_episode(ledger_connection, DRIFT)
    answer_episode(ledger_connection, number, "digits.monitor_model")
    event = fire(DriftTrigger(**read_trigger(outcome)))
    assert watch(run_type, native, {"next_method": "report", "next_kwargs": {"event": event}}).state == "success"
    found = EpisodeReport.model_validate(api_server.returned["wait_for_drift"])
    assert (found, found.state) == (find_episode(ledger_connection, number), "requested")


def test_any_dag_hears_at_once_of_an_episode_that_is_over_already(watch, ledger_connection, api_server):
    begun = datetime.now(UTC)
    number = open_episode(ledger_connection, DRIFT)
    close_episodes(ledger_connection, "digits")
    assert watch(times={"run_after": begun}).state == "success"
    assert api_server.returned["wait_for_drift"]["id"] == number


@pytest.mark.parametrize("run_type", ["scheduled", "manual", "asset_triggered"])
def test_any_dag_is_told_nothing_of_an_episode_from_before(watch, ledger_connection, run_type):
    open_episode(ledger_connection, DRIFT)
    outcome = watch(run_type)
    assert outcome.state == "deferred"
    with pytest.raises(TimeoutError):
        fire(DriftTrigger(**read_trigger(outcome) | {"poke_interval": 0.01}), seconds=0.2)


@pytest.mark.parametrize(("run_type", "began"), [("scheduled", NOW - timedelta(hours=1)), ("manual", NOW)])
def test_a_scheduled_run_stands_for_its_interval_and_any_other_for_what_comes(watch, run_type, began):
    interval = {"logical_date": NOW, "data_interval_start": NOW - timedelta(hours=1), "data_interval_end": NOW}
    outcome = watch(run_type, times={"run_after": NOW, **interval})
    assert read_trigger(outcome)["since"] == began


@pytest.mark.parametrize("since", ["2026-01-31", "2026-01-31T01:00:00+01:00", datetime(2026, 1, 31, tzinfo=UTC)])
def test_who_asks_since_when_is_told_since_then(watch, since):
    assert read_trigger(watch(since=since))["since"] == datetime(2026, 1, 31, tzinfo=UTC)


def test_any_dag_may_answer_the_episode_there_is_anew(watch, ledger_connection):
    answer_episode(ledger_connection, open_episode(ledger_connection, DRIFT), "another run")
    assert watch(answered=True).state == "success"
    close_episodes(ledger_connection, "digits")
    assert watch(answered=True).state == "skipped"
