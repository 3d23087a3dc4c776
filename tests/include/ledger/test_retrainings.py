from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.contracts import DriftReport, RetrainingRequest
from include.ledger import Ledger
from include.ledger.episodes import close_episodes, find_open_episode, open_episode
from include.ledger.retrainings import (
    ask_retraining,
    begin_retraining,
    end_retraining,
    find_last_end,
    list_retrainings,
    reclaim_lost,
)
from include.ledger.tables import retrainings
from include.project import RetrainingPolicy

FREE = RetrainingPolicy(cool_down_minutes=0, per_30_days=100)


def make_request(occasion: str, trigger: str = "drift", episode: int | None = None) -> RetrainingRequest:
    return RetrainingRequest(project="digits", episode=episode, reason="why", occasion=occasion, trigger=trigger)


def ask(ledger: Ledger, occasion: str, run: str = "monitor 1", policy: RetrainingPolicy = FREE, **values):
    request = make_request(occasion, **values)
    return ask_retraining(ledger, request, occasion=occasion, asked_by=run, policy=policy)


def train(ledger: Ledger, occasion: str, run: str, **values) -> None:
    begin_retraining(ledger, make_request(occasion, **values), occasion=occasion, run=run)


def age(ledger: Ledger, column: str, by: timedelta) -> None:
    with ledger.begin() as connection:
        connection.execute(sa.update(retrainings).values({column: retrainings.c[column] - by}))


def test_an_occasion_is_answered_once_and_told_again_to_who_asked(ledger: Ledger):
    assert ask(ledger, "schedule 2026-03-01") is None
    assert ask(ledger, "schedule 2026-03-01") is None
    assert (
        ask(ledger, "schedule 2026-03-01", "monitor 2").why == "schedule 2026-03-01 was answered by monitor 1 already"
    )
    train(ledger, "schedule 2026-03-01", "train 1")
    end_retraining(ledger, "digits", "train 1", "trained")
    # Its request has arrived: a run that is cleared later starts no second training.
    assert ask(ledger, "schedule 2026-03-01").why.endswith("was answered by monitor 1 already")
    assert len(list_retrainings(ledger, "digits")) == 1


def test_while_one_is_under_way_the_next_waits_and_a_failure_frees_the_way(ledger: Ledger):
    ask(ledger, "one")
    assert "one is under way" in ask(ledger, "two").why
    train(ledger, "one", "train 1")
    assert "one is under way" in ask(ledger, "two").why
    assert ask_retraining(
        ledger, make_request("two").model_copy(update={"project": "parts"}), occasion="two", asked_by="m", policy=FREE
    ) is None  # fmt: skip
    assert end_retraining(ledger, "digits", "train 1", "it failed") == [make_request("one")]
    assert end_retraining(ledger, "digits", "train 1", "it failed") == []
    assert ask(ledger, "two") is None
    assert [one.outcome for one in list_retrainings(ledger, "digits")] == ["", "it failed"]


def test_the_cool_down_counts_from_the_end(ledger: Ledger):
    policy = RetrainingPolicy(cool_down_minutes=60)
    train(ledger, "run 1", "train 1", trigger="new_data")
    end_retraining(ledger, "digits", "train 1", "trained")
    assert "less than 60 minutes ago" in ask(ledger, "two", policy=policy).why
    age(ledger, "ended_at", timedelta(minutes=61))
    assert ask(ledger, "two", policy=policy) is None


def test_the_budget_counts_what_monitoring_asked_for_in_30_days(ledger: Ledger):
    policy = RetrainingPolicy(cool_down_minutes=0, per_30_days=2)
    for number, trigger in enumerate(["drift", "new_data", "demand", "schedule"]):
        train(ledger, f"{number}", f"train {number}", trigger=trigger)
        end_retraining(ledger, "digits", f"train {number}", "trained")
    refusal = ask(ledger, "late", policy=policy)
    assert (refusal.spent, "budget of 2" in refusal.why) == (True, True)
    age(ledger, "recorded_at", timedelta(days=31))
    assert ask(ledger, "late", policy=policy) is None


def test_the_episode_is_claimed_with_the_request_or_not_at_all(ledger: Ledger, make_drift: Callable[..., DriftReport]):
    episode = open_episode(ledger, make_drift())
    ask(ledger, "another")
    assert ask(ledger, "episode", episode=episode) is not None
    assert find_open_episode(ledger, "digits").id == episode
    train(ledger, "another", "train 1")
    end_retraining(ledger, "digits", "train 1", "trained")
    assert ask(ledger, "episode", episode=episode) is None
    assert find_open_episode(ledger, "digits") is None
    close_episodes(ledger, "digits")
    assert ask(ledger, "episode again", episode=episode).why


def test_a_lost_request_opens_its_episode_again(ledger: Ledger, make_drift: Callable[..., DriftReport]):
    episode = open_episode(ledger, make_drift())
    ask(ledger, "episode 1", episode=episode)
    assert reclaim_lost(ledger, "digits") == []
    age(ledger, "recorded_at", timedelta(hours=25))
    assert reclaim_lost(ledger, "parts") == []
    assert reclaim_lost(ledger, "digits") == ["episode 1"]
    assert reclaim_lost(ledger, "digits") == []
    assert find_open_episode(ledger, "digits").id == episode
    assert find_last_end(ledger, "digits") is None
    assert ask(ledger, "episode 1", "monitor 2", episode=episode) is None
    assert [one.asked_by for one in list_retrainings(ledger, "digits")] == ["monitor 2", "monitor 1"]


def test_a_training_that_never_told_its_end_holds_the_others_up_for_a_week_at_most(ledger: Ledger):
    train(ledger, "run 1", "train 1", trigger="new_data")
    age(ledger, "began_at", timedelta(days=6))
    assert reclaim_lost(ledger, "digits") == []
    age(ledger, "began_at", timedelta(days=8))
    assert reclaim_lost(ledger, "digits") == ["run 1"]
    assert ask(ledger, "two") is None


def test_a_run_that_begins_gives_up_what_another_never_ended(ledger: Ledger):
    train(ledger, "run 1", "train 1", trigger="new_data")
    train(ledger, "run 2", "train 2", trigger="demand")
    train(ledger, "run 2", "train 2", trigger="demand")
    newest, older = list_retrainings(ledger, "digits")
    assert (older.outcome, newest.outcome, newest.ended_at) == ("given up: train 2 began after it", "", None)
    assert end_retraining(ledger, "digits", "train 1", "too late") == []


@pytest.mark.parametrize("occasions", [1, 20])
def test_twenty_askers_at_once_are_granted_one_training(ledger: Ledger, occasions: int):
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda n: ask(ledger, f"occasion {n % occasions}", f"monitor {n}"), range(20)))
    assert answers.count(None) == 1
    assert len(list_retrainings(ledger, "digits")) == 1
