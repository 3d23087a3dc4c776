from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.contracts import ActionDecision, DatasetRef, ModelRef, RetrainingRequest
from include.ledger import Ledger
from include.ledger.episodes import close_episodes, find_open_episode, record_diagnosis
from include.ledger.incidents import list_incidents
from include.ledger.models import record_candidate
from include.ledger.retrainings import Refusal, begin_retraining, end_retraining, list_retrainings
from include.ledger.tables import retrainings
from include.monitoring.episodes import record_window
from include.monitoring.retraining import request_retraining
from include.project import Project
from include.storage import digest_bytes
from tests.include.monitoring.test_episodes import diagnose, see

CLAIMANTS = 20


def decide(episode: int, action: str = "retrain", **values) -> ActionDecision:
    known = {"project": "digits", "episode": episode, "cause": "camera_fault", "reasons": ("policy",)}
    return ActionDecision(**known, action=action, **values)


def change(project: Project, **retraining) -> Project:
    policy = project.monitoring.retraining.model_copy(update={"cool_down_minutes": 0} | retraining)
    return project.model_copy(update={"monitoring": project.monitoring.model_copy(update={"retraining": policy})})


def drift(project: Project, ledger: Ledger, hour: int = 0) -> int:
    episode = record_window(project, see("drift", hour), ledger)
    record_diagnosis(ledger, diagnose(episode))
    return episode


def finish(ledger: Ledger, run: str = "train 1") -> None:
    request = list_retrainings(ledger, "digits")[0].request
    begin_retraining(ledger, request, occasion=request.occasion, run=run)
    end_retraining(ledger, "digits", run, "trained")


def test_the_request_names_the_cause_and_is_told_again_to_its_run(ledger: Ledger, project: Project):
    episode = drift(project, ledger)
    request = request_retraining(project, decide(episode, mode="replay"), ledger, "run 1")
    assert isinstance(request, RetrainingRequest)
    assert request.reason == f"drift, episode {episode}: camera: blurred lens"
    assert (request.episode, request.mode, request.drift) == (episode, "replay", see("drift"))
    assert request_retraining(project, decide(episode, mode="replay"), ledger, "run 1") == request
    assert isinstance(request_retraining(project, decide(episode), ledger, "run 2"), Refusal)


def test_who_chose_otherwise_is_named(ledger: Ledger, project: Project):
    chosen = {"overridden_by": "ada", "reasons": ("policy", "ada chose retrain instead of ignore: the lens stays")}
    known = {"project": "digits", "episode": drift(project, ledger), "cause": "camera_fault", "action": "retrain"}
    request = request_retraining(project, ActionDecision(**known | chosen), ledger, "run 1")
    assert request.reason.endswith("; ada chose retrain instead of ignore: the lens stays")


@pytest.mark.parametrize("action", ["fix_source", "recalibrate", "relabel", "ignore"])
def test_another_action_asks_for_nothing(ledger: Ledger, project: Project, action: str):
    refusal = request_retraining(project, decide(drift(project, ledger), action), ledger, "run 1")
    assert refusal.why == f"the decision is to {action}, not to retrain"
    assert list_retrainings(ledger, "digits") == []


def test_once_a_new_model_serves_the_next_drift_is_asked_for_anew(ledger: Ledger, project: Project):
    project = change(project)
    first = request_retraining(project, decide(drift(project, ledger)), ledger, "run 1")
    finish(ledger)
    close_episodes(ledger, "digits")
    assert request_retraining(project, decide(first.episode), ledger, "run 9").why
    second = request_retraining(project, decide(drift(project, ledger, 1)), ledger, "run 2")
    assert second.episode > first.episode


def test_what_has_to_wait_stays_open_and_a_spent_budget_is_told(ledger: Ledger, project: Project):
    project = change(project, per_30_days=1)
    request_retraining(project, decide(drift(project, ledger)), ledger, "run 1")
    finish(ledger)
    close_episodes(ledger, "digits")
    episode = drift(project, ledger, 1)
    for run in ("run 2", "run 3"):
        assert request_retraining(project, decide(episode), ledger, run).spent
    assert find_open_episode(ledger, "digits").id == episode
    [incident] = list_incidents(ledger, "digits", 5, unresolved=True)
    assert "budget of 1 trainings in 30 days is spent" in incident.title
    project = change(project, per_30_days=2)
    assert request_retraining(project, decide(episode), ledger, "run 4").episode == episode


def test_of_many_claimants_at_once_exactly_one_gets_it(ledger: Ledger, project: Project):
    episode = drift(project, ledger)
    with ThreadPoolExecutor(CLAIMANTS) as pool:
        runs = [f"run {number}" for number in range(CLAIMANTS)]
        claims = pool.map(lambda run: request_retraining(project, decide(episode), ledger, run), runs)
        assert sum(isinstance(claim, RetrainingRequest) for claim in claims) == 1


def test_the_schedule_asks_once_it_is_due(ledger: Ledger, project: Project):
    assert request_retraining(project, None, ledger, "run 1").why == "no training is due"
    project = change(project, every_days=7, mode="sliding_window")
    assert request_retraining(project, None, ledger, "run 1").why == "no training is due"
    key = digest_bytes(b"model")
    known = {"address": "digits/images.lance", "version": 1, "images": 9, "labelled": 9}
    dataset = DatasetRef(project="digits", digest=key, **known)
    record_candidate(ledger, ModelRef(project="digits", key=key, run_id="run", weights=key, dataset=dataset))
    request = request_retraining(project, None, ledger, "run 1")
    assert (request.trigger, request.mode, request.episode) == ("schedule", "sliding_window", None)
    finish(ledger)
    assert request_retraining(project, None, ledger, "run 2").why == "no training is due"
    with ledger.begin() as connection:
        earlier = {name: retrainings.c[name] - timedelta(days=8) for name in ("recorded_at", "ended_at")}
        connection.execute(sa.update(retrainings).values(**earlier, occasion="schedule of last week"))
    assert isinstance(request_retraining(project, None, ledger, "run 3"), RetrainingRequest)
