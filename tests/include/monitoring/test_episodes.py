import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import ActionDecision, DiagnosisReport, DriftReport, PerformanceReport
from include.ledger import Ledger
from include.ledger.episodes import close_episodes, find_episode, find_unclosed_episode
from include.ledger.incidents import find_incident, list_incidents
from include.monitoring.episodes import choose_window, find_drift, record_window, report_unfair, settle_action
from include.project import Project
from include.settings import REPOSITORY

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def see(verdict: str, hour: int = 0) -> DriftReport:
    window = {"project": "digits", "start": DAY + timedelta(hours=hour), "end": DAY + timedelta(hours=hour + 1)}
    return DriftReport(**window, release=None, predictions=90, verdict=verdict, summary=f"{verdict} at {hour}")


def measure(verdict: str, **values) -> PerformanceReport:
    window = {"project": "digits", "start": DAY, "end": DAY + timedelta(hours=1)}
    return PerformanceReport(**window, predictions=90, labelled=90, verdict=verdict, **values)


def decide(episode: int, action: str) -> ActionDecision:
    return ActionDecision(project="digits", episode=episode, cause="camera_fault", action=action, reasons=("policy",))


def diagnose(episode: int) -> DiagnosisReport:
    named = {"cause": "camera_fault", "name": "camera: blurred lens", "scores": {"camera_fault": 1.0}}
    return DiagnosisReport(project="digits", episode=episode, evidence=("sharpness",), **named)


@pytest.mark.parametrize("found", [see("stable"), see("insufficient"), measure("stable"), measure("insufficient")])
def test_only_what_differs_opens_an_episode(ledger: Ledger, project: Project, found):
    assert record_window(project, found, ledger) is None
    assert find_drift("digits", ledger) is None


def test_drift_is_found_until_it_is_answered(ledger: Ledger, project: Project):
    episode = record_window(project, see("drift"), ledger)
    assert record_window(project, see("drift", 1), ledger) == episode
    found = find_drift("digits", ledger)
    assert (found.id, found.drift, found.windows) == (episode, see("drift"), 2)
    settle_action(decide(episode, "ignore"), diagnose(episode), project, ledger, "run 1")
    assert find_drift("digits", ledger) is None
    assert find_drift("digits", ledger, answered=True).id == episode


def test_what_opened_since_is_found_whatever_has_become_of_it(ledger: Ledger, project: Project):
    episode = record_window(project, see("drift"), ledger)
    opened = find_drift("digits", ledger).opened_at
    close_episodes(ledger, "digits")
    assert find_drift("digits", ledger, since=opened).id == episode
    assert find_drift("digits", ledger, since=opened + timedelta(microseconds=1)) is None
    assert find_drift("leaves", ledger, since=opened) is None


def test_as_many_stable_windows_as_the_project_says_end_it(ledger: Ledger, project: Project):
    episode = record_window(project, see("drift"), ledger)
    needed = project.monitoring.retraining.recovered_windows
    ended = [record_window(project, see("stable", hour), ledger) for hour in range(1, needed + 1)]
    assert ended == [None] * (needed - 1) + [episode]
    assert find_unclosed_episode(ledger, "digits") is None


@pytest.mark.parametrize(
    ("action", "state", "told"),
    [("fix_source", "requested", True), ("recalibrate", "requested", True), ("ignore", "requested", False),
     ("retrain", "open", False), ("relabel", "open", False)],
)  # fmt: skip
def test_what_people_have_to_do_is_an_incident(ledger: Ledger, project: Project, action: str, state: str, told: bool):
    episode = record_window(project, see("drift"), ledger)
    incident = settle_action(decide(episode, action), diagnose(episode), project, ledger, "run 1")
    assert find_episode(ledger, episode).state == state
    assert (incident is not None) == told
    if incident is not None:
        found = find_incident(ledger, incident)
        assert (found.kind, found.title) == ("drift", f"camera: blurred lens: {action.replace('_', ' ')}")
        assert settle_action(decide(episode, action), diagnose(episode), project, ledger, "run 2") is None


def test_it_is_diagnosed_from_the_window_that_differs(ledger: Ledger, project: Project):
    record_window(project, see("drift"), ledger)
    episode = find_drift("digits", ledger)
    for drift, performance in ((see("drift", 1), measure("stable")), (see("stable", 1), measure("degraded"))):
        assert choose_window(episode, drift, performance) == (drift, performance)
    assert choose_window(episode, see("insufficient", 1), measure("insufficient")) == (see("drift"), None)


def test_unfair_slices_are_one_incident(ledger: Ledger, project: Project):
    assert report_unfair(project, measure("stable"), ledger, "run 1") is None
    first = report_unfair(project, measure("stable", unfair=("camera b: 12 points",)), ledger, "run 1")
    assert report_unfair(project, measure("stable", unfair=("camera b: 15 points",)), ledger, "run 2") == first
    [found] = list_incidents(ledger, "digits", 5)
    assert (found.kind, found.seen) == ("unfair", 2)


def test_a_trigger_may_import_it_cheaply():
    code = "import sys, include.monitoring.episodes; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy = {"evidently", "pandas", "numpy", "pyarrow", "scipy", "torch", "mlflow", "onnxruntime"}
    assert heavy.isdisjoint(loaded.stdout.split())
