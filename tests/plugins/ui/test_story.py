from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import DriftReport, HostReport, ObjectiveReport, PerformanceReport, ReplicaReport
from include.errors import TransientError
from include.ledger.episodes import open_episode
from include.ledger.host import record_sample
from include.ledger.incidents import acknowledge_incident, open_incident
from include.ledger.objectives import record_objective
from include.ledger.plans import record_replica
from include.ledger.releases import record_release
from include.ledger.rollouts import complete_rollout, start_rollout
from include.monitoring.series import record_drift, record_performance
from include.project import DeploymentPolicy
from tests.plugins.samples import DRIFT, RELEASE
from windhover.ui.overview import Overview
from windhover.ui.story import HEADLINES, Sentence, judge_story, tell_story

POLICY = DeploymentPolicy().model_dump(mode="json")


@pytest.fixture
def tell(machine, project, store, ledger):
    """Give a function that tells the story as (tone, sentence)."""
    return lambda: [(one.tone, one.text) for one in tell_story(Overview(project, store, ledger, days=7))]


@pytest.fixture
def serving(ledger):
    """A release in service, and one process that answers."""
    record_release(ledger, RELEASE)
    complete_rollout(ledger, start_rollout(ledger, RELEASE, "run", "direct", POLICY))
    report(ledger)


def report(ledger, revision=1):
    record_replica(ledger, ReplicaReport(
        name="serving-1", address="unix:1", started_at=datetime.now(UTC), revisions={"digits": revision}, held={},
        rejected={}, source="ledger",
    ))  # fmt: skip


@pytest.fixture
def serving_long(serving, ledger):
    """The same release, in service since two days ago."""
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE release_plans SET recorded_at = now() - interval '2 days'")


def sample(ledger, **ago):
    at = datetime.now(UTC) - timedelta(**ago)
    record_sample(ledger, HostReport(at=at, cpu=0.5, memory=0.5, disk=0.5, sent=1.0, received=1.0))


def window(hours=0, **values):
    now = datetime.now(UTC) - timedelta(hours=hours)
    return {"project": "digits", "start": now, "end": now, "predictions": 200} | values


def trouble(ledger, impact="high"):
    return open_incident(
        ledger, "digits", kind="manual", key="k", title="smoke", impact=impact, urgency=impact, runbook="docs/x.md"
    )


def test_health_is_told_and_calms(tell, serving, store):
    counted = {"labelled": 40, "accuracy": 0.95, "certified": 0.94, "verdict": "stable"}
    record_performance(store, PerformanceReport(**window(**counted)))
    record_drift(store, DriftReport(**window(release=None, verdict="stable", summary="stable")))
    story = tell()
    assert {tone for tone, _ in story} == {"good"}
    assert [text for _, text in story] == [
        "Version 3 answers every request.",
        "95.0 % right among 40 labelled answers, certified with 94.0 %.",
        "Live images look like those the model was certified on.",
        "No incident is open.",
    ]


def test_without_labels_it_says_so_and_what_is_estimated(tell, serving, store):
    assert ("busy", "How often version 3 is right, no label has told yet.") in tell()
    record_performance(store, PerformanceReport(**window(labelled=0, estimate=0.91)))
    assert ("busy", "How often version 3 is right, no label has told yet: 91.0 % by an estimate.") in tell()


def test_an_old_window_is_no_sign_of_health(tell, serving_long, store):
    record_drift(store, DriftReport(**window(5, release=None, verdict="stable", summary="stable")))
    story, since = tell(), f"{datetime.now(UTC) - timedelta(hours=5):%H:%M} UTC"
    tone, text = story[0]
    assert tone == "look"
    assert text.startswith("Nobody has looked at live images since ")
    assert text.endswith(f"{since}; is monitor_model paused, or does it fail?")
    assert "Live images look like" not in str(story)
    assert any(tone == "busy" and f"{since} live images looked like those" in text for tone, text in story)


def test_a_silent_watcher_is_said(tell, ledger):
    sample(ledger, seconds=30)
    assert "watcher" not in str(tell())
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE host_samples SET at = at - interval '7 hours'")
    tone, text = tell()[0]
    assert tone == "look"
    assert text.startswith("The watcher has not been heard of since ")
    assert text.endswith(
        f"{datetime.now(UTC) - timedelta(hours=7, seconds=30):%H:%M} UTC: nobody is told of trouble. Does it run?"
    )


def test_objectives_that_nobody_measures_any_more_are_old(tell, ledger):
    shared = {"project": "digits", "target": 0.99, "days": 28, "good": 9, "events": 9, "left": 1.0, "verdict": "met"}
    for hours, said in ((0, 0), (1, 1)):
        at = datetime.now(UTC) - timedelta(hours=hours)
        record_objective(ledger, ObjectiveReport(objective="latency", at=at, summary="met", **shared))
        assert sum(text.startswith("Objectives were last measured at") for _, text in tell()) == said


def test_a_few_labels_are_no_sign_of_health(tell, serving, store):
    record_performance(store, PerformanceReport(**window(labelled=8, accuracy=0.375, certified=0.94, limit=2000)))
    assert (
        "busy", "37.5 % right among 8 labelled answers, certified with 94.0 %. Too few labels to judge by."
    ) in tell()  # fmt: skip


def test_labels_that_came_late_count_once_a_later_window_weighed_them(tell, serving, store):
    record_performance(store, PerformanceReport(**window(1, labelled=80, accuracy=0.95, certified=0.94)))
    told = "95.0 % right among 80 labelled answers, certified with 94.0 %."
    assert ("busy", f"{told} No certificate was there to judge it by.") in tell()
    record_performance(store, PerformanceReport(**window(labelled=0, limit=2000)))
    assert ("good", told) in tell()


def test_before_anything_serves_that_is_no_alarm(tell):
    assert tell() == [("busy", "Nothing is in service yet."), ("good", "No incident is open.")]


def test_a_service_without_processes_needs_somebody_now(tell, ledger):
    record_release(ledger, RELEASE)
    complete_rollout(ledger, start_rollout(ledger, RELEASE, "run", "direct", POLICY))
    assert tell()[0] == ("act", "No serving process reports.")


def test_a_process_that_lags_behind_is_named(tell, serving, ledger):
    report(ledger, revision=7)
    assert ("look", "serving-1 of 1 serving processes do not follow the plan.") in tell()


def test_worse_answers_another_meaning_and_unfairness_are_told(tell, store):
    worse = {"labelled": 40, "accuracy": 0.7, "certified": 0.94, "verdict": "degraded", "concept": True}
    record_performance(store, PerformanceReport(**window(**worse, unfair=("3 is called right less often",))))
    told = [text for tone, text in tell() if tone == "look"]
    assert told == [
        "70.0 % right among 40 labelled answers, certified with 94.0 %.",
        "The labels moved where the images did not: what the classes mean has changed.",
        "3 is called right less often",
    ]


def test_an_episode_is_told_before_its_cause_is_known(tell, ledger):
    open_episode(ledger, DRIFT)
    [(tone, text)] = [one for one in tell() if "Drift since" in one[1]]
    assert tone == "look"
    assert text.endswith("UTC, 1 window: not diagnosed yet. Answer: not decided yet.")


def test_an_incident_that_nobody_took_on_needs_somebody_until_one_has(tell, ledger):
    number = trouble(ledger)
    assert tell()[0] == ("act", "Critical incident: smoke.")
    acknowledge_incident(ledger, number, who="ada")
    assert ("look", "Critical incident: smoke.") in tell()


def test_a_small_incident_wakes_nobody(tell, ledger):
    trouble(ledger, "low")
    assert ("look", "Info incident: smoke.") in tell()


def test_what_cannot_be_read_is_said_and_the_rest_is_told(tell, monkeypatch):
    def refuse(*_, **__):
        raise TransientError("the store is away")

    monkeypatch.setattr("include.monitoring.series.read_performance_series", refuse)
    assert tell()[0] == ("look", "Not known: the store is away")
    assert ("good", "No incident is open.") in tell()


@pytest.mark.parametrize(
    ("tones", "said"), [([], "good"), (["good", "busy"], "busy"), (["look", "act", "good"], "act"), (["look"], "look")]
)
def test_the_headline_is_that_of_what_matters_most(tones, said):
    assert judge_story([Sentence(tone, "…") for tone in tones]) == said
    assert HEADLINES[said]
