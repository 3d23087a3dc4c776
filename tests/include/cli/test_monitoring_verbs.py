import json
from datetime import UTC, datetime

import pytest

from include.cli.monitoring_verbs import watch_window
from include.cli.workplace import Workplace
from include.contracts import ActionDecision, DiagnosisReport, DriftReport, RetrainingRequest
from include.ledger import Ledger
from include.ledger.episodes import find_episode, find_unclosed_episode, open_episode
from include.ledger.retrainings import begin_retraining, end_retraining

WINDOW = {"start": datetime(2026, 3, 1, tzinfo=UTC), "end": datetime(2026, 3, 1, 1, tzinfo=UTC)}


@pytest.fixture
def workplace(machine) -> Workplace:
    return Workplace.open(machine.project)


@pytest.fixture
def episode(machine, ledger: Ledger) -> int:
    drift = DriftReport(
        project=machine.project, **WINDOW, release=None, verdict="drift", predictions=90, summary="sharpness"
    )  # fmt: skip
    return open_episode(ledger, drift)


def test_a_window_without_traffic_opens_nothing(workplace, ledger: Ledger):
    measured = watch_window(workplace, WINDOW["start"], WINDOW["end"])
    assert measured["drift"]["verdict"] == "insufficient"
    assert (measured["performance"]["predictions"], measured["performance"]["accuracy"]) == (0, None)
    assert measured.keys() == {"drift", "performance"}
    assert find_unclosed_episode(ledger, workplace.project.name) is None


def test_an_open_episode_is_diagnosed_and_decided(workplace, ledger: Ledger, episode: int):
    measured = watch_window(workplace, WINDOW["start"], WINDOW["end"])
    found = find_episode(ledger, episode)
    assert found.diagnosis == DiagnosisReport.model_validate(measured["diagnosis"])
    assert found.decision == ActionDecision.model_validate(measured["decision"])


def test_episodes_and_trainings_are_listed(machine, invoke, ledger: Ledger, episode: int):
    request = RetrainingRequest(
        project=machine.project, episode=episode, occasion=f"episode {episode}", reason="drift: a lens", mode="replay"
    )  # fmt: skip
    begin_retraining(ledger, request, occasion=request.occasion, run="train 1")
    listed = json.loads(invoke("episodes", "--json").stdout)
    assert [(one["id"], one["state"], one["windows"]) for one in listed["episodes"]] == [(episode, "open", 1)]
    assert [(one["reason"], one["mode"], one["outcome"]) for one in listed["trainings"]] == [
        ("drift: a lens", "replay", "under way")
    ]
    end_retraining(ledger, machine.project, "train 1", "it failed")
    assert json.loads(invoke("episodes", "--json").stdout)["trainings"][0]["outcome"] == "it failed"
