import pytest

from include.contracts import DiagnosisReport, DriftReport, PerformanceReport, ProfileReport, RetrainingRequest
from include.errors import ContractViolationError
from include.ledger.episodes import find_episode, find_open_episode, open_episode
from include.ledger.incidents import list_incidents
from tests.plugins.samples import (
    DECISION,
    DEGRADED,
    DIAGNOSIS,
    DRIFT,
    END,
    PERFORMANCE,
    PROFILE,
    STABLE,
    START,
)
from tests.plugins.task_runs import make_run, run_task

HOUR = {"logical_date": START, "data_interval_start": START, "data_interval_end": END}
OLDER = DRIFT.model_copy(update={"summary": "an earlier window", "report": None})
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
    assert find_open_episode(ledger_connection, "digits").drift == DRIFT
    assert DriftReport.model_validate(api_server.returned["detect_drift"]) == DRIFT
    assert outcome.links == REPORT


def test_a_stable_window_opens_none_and_links_its_report(dag, api_server, stages, ledger_connection):
    outcome, _ = detect(dag, api_server, stages, STABLE.model_copy(update={"report": DRIFT.report}))
    assert find_open_episode(ledger_connection, "digits") is None
    assert outcome.links == REPORT


def test_a_window_that_was_not_judged_has_no_link(dag, api_server, stages, ledger_connection):
    outcome, _ = detect(dag, api_server, stages, STABLE.model_copy(update={"verdict": "insufficient"}))
    assert find_open_episode(ledger_connection, "digits") is None
    assert outcome.links == {"_link_drift_report": ""}


def test_a_backfill_reports_drift_of_the_past_but_opens_no_episode(dag, api_server, stages, ledger_connection):
    outcome, _ = detect(dag, api_server, stages, DRIFT, "backfill")
    assert outcome.state == "success"
    assert outcome.links == REPORT
    assert find_open_episode(ledger_connection, "digits") is None


def test_an_episode_that_cannot_be_recorded_fails_the_task_and_still_links_the_report(dag, api_server, stages):
    stages.replace("include.monitoring.episodes.record_window", ContractViolationError("no such project"))
    outcome, _ = detect(dag, api_server, stages, DRIFT)
    assert outcome.state == "failed"
    assert outcome.links == REPORT


def measure(dag, api_server, stages, report, run_type="scheduled"):
    calls = stages.replace("include.monitoring.performance.measure_performance", report)
    api_server.returned["profile_predictions"] = PROFILE.model_dump(mode="json")
    api_server.returned["detect_drift"] = STABLE.model_dump(mode="json")
    run_task(api_server, dag, "measure_performance", make_run(dag.dag_id, run_type, **HOUR))
    return calls


def test_performance_is_measured_on_the_same_window(dag, api_server, stages):
    calls = measure(dag, api_server, stages, PERFORMANCE)
    assert (calls[0]["profile"], calls[0]["drift"]) == (PROFILE, STABLE)
    assert PerformanceReport.model_validate(api_server.returned["measure_performance"]) == PERFORMANCE


@pytest.mark.parametrize(("run_type", "opened"), [("scheduled", True), ("manual", True), ("backfill", False)])
def test_worse_answers_open_an_episode_unless_they_are_of_the_past(
    dag, api_server, stages, ledger_connection, run_type, opened
):
    measure(dag, api_server, stages, DEGRADED, run_type)
    found = find_open_episode(ledger_connection, "digits")
    assert (found.performance if found else None) == (DEGRADED if opened else None)


@pytest.mark.parametrize(
    ("drift", "performance", "expected"),
    [(DRIFT, PERFORMANCE, (DRIFT, PERFORMANCE)), (STABLE, DEGRADED, (STABLE, DEGRADED)), (STABLE, PERFORMANCE, None)],
)
def test_the_window_that_differs_is_diagnosed(dag, api_server, stages, ledger_connection, drift, performance, expected):
    number = open_episode(ledger_connection, OLDER)
    diagnosis = DIAGNOSIS.model_copy(update={"episode": number})
    calls = stages.replace("include.monitoring.diagnosis.diagnose", diagnosis)
    episode = find_episode(ledger_connection, number)
    for task, report in (
        ("wait_for_drift", episode), ("detect_drift", drift), ("measure_performance", performance),
    ):  # fmt: skip
        api_server.returned[task] = report.model_dump(mode="json")
    run_task(api_server, dag, "diagnose_drift", make_run(dag.dag_id, "scheduled", **HOUR))
    assert (calls[0]["drift"], calls[0]["performance"]) == (expected or (OLDER, None))
    assert find_episode(ledger_connection, number).diagnosis == diagnosis
    assert DiagnosisReport.model_validate(api_server.returned["diagnose_drift"]) == diagnosis


@pytest.fixture
def decide(dag, api_server, stages, ledger_connection):
    """Give a function that decides about an open episode."""
    number = open_episode(ledger_connection, DRIFT)
    stages.replace(
        "include.monitoring.decision.override_action",
        lambda decision, action, _, who, why: decision.model_copy(
            update={"action": action, "overridden_by": who, "reasons": (why,)}
        ),
    )

    def run(action, form=None, person=None):
        decision = DECISION.model_copy(update={"episode": number, "action": action})
        stages.replace("include.monitoring.decision.decide_action", decision)
        diagnosis = DIAGNOSIS.model_copy(update={"episode": number})
        api_server.returned["diagnose_drift"] = diagnosis.model_dump(mode="json")
        api_server.returned["measure_performance"] = PERFORMANCE.model_dump(mode="json")
        run = make_run(dag.dag_id, "manual", conf=form or {}, triggering_user_name=person)
        return run_task(api_server, dag, "decide_action", run), find_episode(ledger_connection, number)

    return run


def test_a_source_to_be_fixed_is_an_incident_with_the_cause_in_its_title(decide, ledger_connection):
    outcome, episode = decide("fix_source")
    assert (outcome.state, episode.state, episode.decision.action) == ("success", "requested", "fix_source")
    [incident] = list_incidents(ledger_connection, "digits", 5)
    assert (incident.kind, incident.title) == ("drift", "camera: blurred lens: fix source")


def test_a_training_is_left_to_the_next_task(decide, ledger_connection):
    assert decide("retrain")[1].state == "open"
    assert list_incidents(ledger_connection, "digits", 5) == []


def test_a_missed_objective_is_told_to_the_decision(dag, api_server, stages, ledger_connection):
    steady = PERFORMANCE.model_copy(update={"verdict": "stable"})
    number = open_episode(ledger_connection, steady, missed=True)
    decision = DECISION.model_copy(update={"episode": number})
    calls = stages.replace("include.monitoring.decision.decide_action", decision)
    stages.replace("include.monitoring.decision.override_action", decision)
    api_server.returned["diagnose_drift"] = DIAGNOSIS.model_copy(update={"episode": number}).model_dump(mode="json")
    api_server.returned["measure_performance"] = steady.model_dump(mode="json")
    assert run_task(api_server, dag, "decide_action", make_run(dag.dag_id, "manual")).state == "success"
    assert (calls[0]["performance"], calls[0]["missed"]) == (steady, True)


def test_a_person_may_choose_otherwise_with_a_reason(decide):
    _, episode = decide("fix_source", {"action": "ignore", "reason": "a planned test"}, "ada")
    assert (episode.decision.action, episode.decision.overridden_by) == ("ignore", "ada")
    assert episode.decision.reasons == ("a planned test",)


def request(dag, api_server, run_id, decision=None, run_type="scheduled"):
    run = make_run(dag.dag_id, run_type, **HOUR).model_copy(update={"run_id": run_id})
    if decision:
        api_server.returned["decide_action"] = decision.model_dump(mode="json")
    return run_task(api_server, dag, "request_retraining", run)


def test_one_run_asks_once_per_episode_and_a_retry_asks_again(dag, api_server, ledger_connection):
    episode = open_episode(ledger_connection, DRIFT)
    decision = DECISION.model_copy(update={"episode": episode})

    [event] = request(dag, api_server, "first", decision).announced
    asked = RetrainingRequest.model_validate(event["extra"])
    assert (asked.episode, asked.drift) == (episode, DRIFT)
    assert event["dest_asset_key"]["name"] == "digits.retraining_request"
    assert event["partition_key"]

    assert request(dag, api_server, "first", decision).announced[0]["extra"] == event["extra"]
    second = request(dag, api_server, "second", decision)
    assert second.state == "skipped"
    assert second.announced == []


def test_without_a_decision_and_a_schedule_nothing_is_asked_for(dag, api_server):
    assert request(dag, api_server, "first").state == "skipped"


def test_a_backfill_asks_for_nothing(dag, api_server, ledger_connection):
    decision = DECISION.model_copy(update={"episode": open_episode(ledger_connection, DRIFT)})
    assert request(dag, api_server, "first", decision, "backfill").state == "skipped"
    assert find_open_episode(ledger_connection, "digits")
