from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import DiagnosisReport, ObjectiveReport, PerformanceReport, ReleaseRef
from include.ledger import Ledger
from include.ledger.episodes import list_episodes
from include.ledger.freezes import lift_freeze, list_freezes
from include.ledger.incidents import list_incidents, resolve_incident
from include.ledger.objectives import list_objectives
from include.ledger.plans import find_plan, list_plans
from include.ledger.releases import record_release
from include.ledger.rollouts import complete_rollout, start_rollout
from include.monitoring.consequences import drop_unpromised, settle_objective
from include.monitoring.decision import decide_action
from include.monitoring.episodes import find_drift, record_window, settle_action
from include.monitoring.retraining import request_retraining
from include.project import ObjectivesPolicy, Project
from tests.include.monitoring.released import make_release

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WINDOW = PerformanceReport(
    project="digits", start=NOW - timedelta(hours=1), end=NOW, predictions=100, labelled=90, accuracy=0.4,
    verdict="degraded", summary="worse",
)  # fmt: skip


def make_project(project: Project, action: str, objective: str = "availability") -> Project:
    objectives = ObjectivesPolicy(accuracy=0.8, when_exhausted={objective: action})
    return project.model_copy(update={"monitoring": project.monitoring.model_copy(update={"objectives": objectives})})


def settle(
    project: Project,
    ledger: Ledger,
    verdict: str,
    *,
    urgent: bool = False,
    objective: str = "availability",
    newest: PerformanceReport = WINDOW,
):
    told = {"objective": objective, "at": NOW, "target": 0.99, "days": 28, "good": 9, "events": 10, "left": -1}
    report = ObjectiveReport.model_validate(
        {"project": project.name, "verdict": verdict, "summary": f"{verdict} now", **told}
    )
    settle_objective(project, report, ledger, urgent=urgent or verdict == "exhausted", newest=newest)


@pytest.fixture
def rolled_out(ledger: Ledger) -> list[ReleaseRef]:
    """Three releases that answered, one after the other."""
    releases = [make_release(name) for name in ("a", "bb", "ccc")]
    for one in releases:
        record_release(ledger, one)
        complete_rollout(ledger, start_rollout(ledger, one, f"run {one.address}", "direct", {}))
    return releases


def test_a_burning_budget_is_one_incident_until_it_is_over(ledger: Ledger, project: Project):
    for _ in range(3):
        settle(project, ledger, "burning")
    (incident,) = list_incidents(ledger, "digits", 10)
    assert (incident.kind, incident.key, incident.state, incident.seen) == ("slo_burn", "slo/availability", "open", 1)
    assert incident.owner == project.owner
    settle(project, ledger, "met")
    settle(project, ledger, "met")
    (incident,) = list_incidents(ledger, "digits", 10)
    assert (incident.state, incident.resolved_by) == ("resolved", "watcher")
    assert [report.verdict for report in list_objectives(ledger, "digits")] == ["met"]


def test_what_burns_faster_becomes_more_severe(ledger: Ledger, project: Project):
    settle(project, ledger, "burning")
    (slow,) = list_incidents(ledger, "digits", 10)
    settle(project, ledger, "burning", urgent=True)
    (fast,) = list_incidents(ledger, "digits", 10)
    assert (slow.severity, fast.severity) == ("major", "critical")
    assert fast.id == slow.id


def test_an_incident_a_person_resolved_is_not_opened_again_for_the_same(ledger: Ledger, project: Project):
    settle(project, ledger, "burning")
    resolve_incident(ledger, 1, who="anna", why="known")
    settle(project, ledger, "burning")
    assert [one.state for one in list_incidents(ledger, "digits", 10)] == ["resolved"]
    settle(project, ledger, "exhausted")
    assert [one.state for one in list_incidents(ledger, "digits", 10)] == ["open", "resolved"]


def test_an_exhausted_budget_freezes_rollouts_until_it_recovers(ledger: Ledger, project: Project):
    frozen = make_project(project, "freeze")
    settle(frozen, ledger, "burning")
    assert list_freezes(ledger, "digits") == []
    settle(frozen, ledger, "exhausted")
    settle(frozen, ledger, "exhausted")
    (freeze,) = list_freezes(ledger, "digits")
    assert (freeze.cause, "incident 1" in freeze.reason) == ("slo/availability", True)
    settle(frozen, ledger, "met")
    assert list_freezes(ledger, "digits") == []


def test_a_freeze_a_person_lifted_stays_lifted(ledger: Ledger, project: Project):
    frozen = make_project(project, "freeze")
    settle(frozen, ledger, "exhausted")
    lift_freeze(ledger, "digits", cause="slo/availability", who="anna", why="the fix")
    settle(frozen, ledger, "exhausted")
    assert list_freezes(ledger, "digits") == []
    settle(frozen, ledger, "met")


def test_an_exhausted_budget_goes_one_release_back_and_no_further(ledger: Ledger, project: Project, rolled_out):
    back = make_project(project, "roll_back")
    settle(back, ledger, "exhausted")
    assert find_plan(ledger, "digits").champion == rolled_out[1]
    # A watcher that was killed before it kept the report does it all again.
    with ledger.begin() as connection:
        connection.exec_driver_sql("DELETE FROM objective_reports")
    settle(back, ledger, "exhausted")
    assert find_plan(ledger, "digits").champion == rolled_out[1]
    assert "incident 1" in list_plans(ledger, "digits")[0].why


def test_without_a_release_before_there_is_no_way_back(ledger: Ledger, project: Project):
    settle(make_project(project, "roll_back"), ledger, "exhausted")
    assert find_plan(ledger, "digits") is None


def test_lost_accuracy_opens_an_episode(ledger: Ledger, project: Project):
    settle(make_project(project, "retrain", "accuracy"), ledger, "exhausted", objective="accuracy")
    (episode,) = list_episodes(ledger, "digits")
    assert (episode.trigger, episode.performance) == ("objective", WINDOW)


def test_what_is_kept_again_or_promised_no_longer_ends_the_episode(ledger: Ledger, project: Project):
    lost = make_project(project, "retrain", "accuracy")
    settle(lost, ledger, "exhausted", objective="accuracy")
    settle(lost, ledger, "met", objective="accuracy")
    later = WINDOW.model_copy(update={"end": NOW + timedelta(hours=1)})
    settle(lost, ledger, "exhausted", objective="accuracy", newest=later)
    unpromised = project.monitoring.model_copy(update={"objectives": ObjectivesPolicy()})
    drop_unpromised(project.model_copy(update={"monitoring": unpromised}), ledger)
    ended = [(one.state, one.outcome) for one in list_episodes(ledger, "digits")]
    assert ended == [("closed", "it is promised no longer"), ("closed", "met now")]


def test_a_used_up_budget_leads_to_a_training_though_windows_are_stable(ledger: Ledger, project: Project):
    """Certified 95 %, at most 10 % less, promised 90 %: steady 87 % degrade no window, and break the promise."""
    steady = WINDOW.model_copy(
        update={"labelled": 900, "certified": 0.95, "accuracy": 0.87, "low": 0.86, "high": 0.89, "verdict": "stable"}
    )
    settle(make_project(project, "retrain", "accuracy"), ledger, "exhausted", objective="accuracy", newest=steady)
    for hour in range(project.monitoring.retraining.recovered_windows + 1):
        at = {"start": NOW + timedelta(hours=hour), "end": NOW + timedelta(hours=hour + 1)}
        record_window(project, steady.model_copy(update=at), ledger)
    episode = find_drift("digits", ledger)
    named = {"cause": "unknown", "name": "nothing known", "scores": {"unknown": 1.0}, "evidence": ("none",)}
    diagnosis = DiagnosisReport(project="digits", episode=episode.id, **named)
    decision = decide_action(diagnosis, project, steady, missed=episode.trigger == "objective")
    settle_action(decision, diagnosis, project, ledger, "run 1")
    request = request_retraining(project, decision, ledger, "run 1")
    assert (decision.action, request.trigger, request.episode) == ("retrain", "objective", episode.id)


def test_nothing_is_done_unless_the_project_asks(ledger: Ledger, project: Project, rolled_out):
    settle(project, ledger, "exhausted")
    assert find_plan(ledger, "digits").champion == rolled_out[2]
    assert list_freezes(ledger, "digits") == []
    assert list_episodes(ledger, "digits") == []
