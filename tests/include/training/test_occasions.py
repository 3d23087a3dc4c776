from datetime import UTC, datetime

import pytest

from include.contracts import DatasetRef, DriftReport, ModelRef, RetrainingRequest
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.episodes import answer_episode, find_episode, open_episode
from include.ledger.retrainings import list_retrainings
from include.project import Project
from include.storage import digest_bytes
from include.training.occasions import begin_training, end_training

KEY = digest_bytes(b"model")
DATASET = DatasetRef(
    project="digits", address="digits/images.lance", version=4, digest=KEY, images=9, labelled=8
)  # fmt: skip
HOUR = {"start": datetime(2026, 3, 1, tzinfo=UTC), "end": datetime(2026, 3, 1, 1, tzinfo=UTC)}
DRIFT = DriftReport(project="digits", **HOUR, release=None, verdict="drift", predictions=90, summary="sharpness")
MODEL = ModelRef(project="digits", key=KEY, run_id="run", weights=KEY, dataset=DATASET)


def make_request(episode: int, mode: str = "replay") -> RetrainingRequest:
    occasion = f"episode {episode}"
    return RetrainingRequest(project="digits", episode=episode, reason="drift", occasion=occasion, mode=mode)


@pytest.mark.parametrize(
    ("by", "trigger", "reason"),
    [(None, "new_data", "new data: dataset version 4, 8 of 9 images labelled"),
     ("ada", "demand", "asked for by ada: dataset version 4, 8 of 9 images labelled")],
)  # fmt: skip
def test_what_nobody_requested_is_new_data_or_a_demand(ledger: Ledger, project: Project, by, trigger, reason):
    begun = begin_training(project, DATASET, [], ledger, "train 1", by=by)
    assert (begun.trigger, begun.reason, begun.mode, begun.occasion) == (trigger, reason, "full", "run train 1")
    assert begin_training(project, DATASET, [], ledger, "train 1", by=by) == begun
    assert len(list_retrainings(ledger, "digits")) == 1


def test_all_requests_are_answered_and_the_newest_says_how(ledger: Ledger, project: Project):
    requests = [make_request(1, "full"), make_request(2, "replay")]
    assert begin_training(project, DATASET, requests, ledger, "train 1", by=None).mode == "replay"
    assert (
        begin_training(project, DATASET, requests, ledger, "train 1", by=None, mode="warm_start").mode == "warm_start"
    )
    assert end_training("digits", MODEL, ledger, "train 1").startswith("trained candidate sha256:")
    assert {(one.run, one.ended_at is None) for one in list_retrainings(ledger, "digits")} == {("train 1", False)}


@pytest.mark.parametrize(("model", "state"), [(MODEL, "requested"), (None, "closed")])
def test_an_episode_whose_training_failed_is_over(ledger: Ledger, project: Project, model, state):
    episode = open_episode(ledger, DRIFT)
    answer_episode(ledger, episode, "monitor 1")
    begin_training(project, DATASET, [make_request(episode)], ledger, "train 1", by=None)
    end_training("digits", model, ledger, "train 1")
    assert find_episode(ledger, episode).state == state


def test_what_another_training_failed_at_is_not_the_episodes(ledger: Ledger, project: Project):
    episode = open_episode(ledger, DRIFT)
    answer_episode(ledger, episode, "monitor 1")
    end_training("digits", None, ledger, "a run that never began")
    begin_training(project, DATASET, [], ledger, "train on new data", by=None)
    end_training("digits", None, ledger, "train on new data")
    assert find_episode(ledger, episode).state == "requested"


def test_an_unknown_mode_is_refused(ledger: Ledger, project: Project):
    with pytest.raises(ContractViolationError, match="'quick'; full, warm_start"):
        begin_training(project, DATASET, [], ledger, "train 1", by=None, mode="quick")
