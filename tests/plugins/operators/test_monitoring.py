import pytest

from include.contracts import DriftReport, PerformanceReport, ProfileReport, RetrainingRequest
from include.errors import ContractViolationError
from include.ledger.episodes import find_open_episode, open_episode
from tests.plugins.samples import DRIFT, END, PERFORMANCE, PROFILE, STABLE, START
from tests.plugins.task_runs import make_run, run_task

HOUR = {"logical_date": START, "data_interval_start": START, "data_interval_end": END}
REPORT = {"_link_drift_report": "/windhover/reports/digits/reports/drift/1/index.html"}


@pytest.fixture
def dag(load_dag, ledger_connection):
    return load_dag("monitor_model")


def test_the_window_of_a_scheduled_run_is_its_hour(dag, api_server, stages, project):
    calls = stages.replace("include.monitoring.profile.profile_predictions", PROFILE)

    run_task(api_server, dag, "profile_predictions", make_run(dag.dag_id, "scheduled", **HOUR))

    assert (calls[0]["project"], calls[0]["start"], calls[0]["end"]) == (project, START, END)
    assert ProfileReport.model_validate(api_server.returned["profile_predictions"]) == PROFILE


@pytest.mark.parametrize("start", ["2026-11-20T09:00:00Z", "2026-11-20T10:00:00+01:00"])
def test_the_start_of_the_form_may_be_in_any_zone(dag, api_server, stages, start):
    calls = stages.replace("include.monitoring.profile.profile_predictions", PROFILE)
    run_task(api_server, dag, "profile_predictions", make_run(dag.dag_id, "manual", conf={"start": start}))
    assert calls[0]["start"] == START


def detect(dag, api_server, stages, report, run_type="scheduled"):
    calls = stages.replace("include.monitoring.drift.detect_drift", report)
    api_server.returned["profile_predictions"] = PROFILE.model_dump(mode="json")
    return run_task(api_server, dag, "detect_drift", make_run(dag.dag_id, run_type, **HOUR)), calls


def test_a_drifted_window_opens_an_episode_and_links_its_report(dag, api_server, stages, ledger_connection):
    outcome, calls = detect(dag, api_server, stages, DRIFT)
    assert calls[0]["profile"] == PROFILE
    assert find_open_episode(ledger_connection, "digits")[1] == DRIFT
    assert DriftReport.model_validate(api_server.returned["detect_drift"]) == DRIFT
    assert outcome.links == REPORT


def test_a_stable_window_opens_none_and_has_no_link(dag, api_server, stages, ledger_connection):
    outcome, _ = detect(dag, api_server, stages, STABLE)
    assert find_open_episode(ledger_connection, "digits") is None
    assert outcome.links == {"_link_drift_report": ""}


def test_a_backfill_reports_drift_of_the_past_but_opens_no_episode(dag, api_server, stages, ledger_connection):
    outcome, _ = detect(dag, api_server, stages, DRIFT, "backfill")
    assert outcome.state == "success"
    assert outcome.links == REPORT
    assert find_open_episode(ledger_connection, "digits") is None


def test_an_episode_that_cannot_be_recorded_fails_the_task_and_still_links_the_report(dag, api_server, stages):
    stages.replace("include.monitoring.episodes.record_drift", ContractViolationError("no such project"))
    outcome, _ = detect(dag, api_server, stages, DRIFT)
    assert outcome.state == "failed"
    assert outcome.links == REPORT


def test_performance_is_measured_on_the_same_window(dag, api_server, stages):
    calls = stages.replace("include.monitoring.performance.measure_performance", PERFORMANCE)
    api_server.returned["profile_predictions"] = PROFILE.model_dump(mode="json")
    run_task(api_server, dag, "measure_performance")
    assert calls[0]["profile"] == PROFILE
    assert PerformanceReport.model_validate(api_server.returned["measure_performance"]) == PERFORMANCE


def request(dag, api_server, run_id):
    run = make_run(dag.dag_id, "scheduled", **HOUR).model_copy(update={"run_id": run_id})
    return run_task(api_server, dag, "request_retraining", run)


def test_one_run_asks_once_per_episode_and_a_retry_asks_again(dag, api_server, ledger_connection):
    episode = open_episode(ledger_connection, DRIFT)

    [event] = request(dag, api_server, "first").announced
    asked = RetrainingRequest.model_validate(event["extra"])
    assert (asked.episode, asked.drift) == (episode, DRIFT)
    assert event["dest_asset_key"]["name"] == "digits.retraining_request"
    assert event["partition_key"]

    assert request(dag, api_server, "first").announced[0]["extra"] == event["extra"]
    second = request(dag, api_server, "second")
    assert second.state == "skipped"
    assert second.announced == []


def test_without_an_episode_nothing_is_asked_for(dag, api_server):
    assert request(dag, api_server, "first").state == "skipped"
