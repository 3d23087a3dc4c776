from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from include.contracts import DriftReport
from include.ledger import Ledger
from include.ledger.episodes import (
    answer_episode,
    close_episodes,
    find_open_episode,
    find_unclosed_episode,
    open_episode,
)

MakeDrift = Callable[..., DriftReport]


def test_many_windows_at_once_open_one_episode(ledger: Ledger, make_drift: MakeDrift):
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda n: open_episode(ledger, make_drift(summary=f"window {n}")), range(8)))
    assert len(numbers) == 1


def test_the_drift_that_opened_it_stays(ledger: Ledger, make_drift: MakeDrift):
    number = open_episode(ledger, make_drift(summary="first"))
    open_episode(ledger, make_drift(summary="second"))
    assert find_open_episode(ledger, "digits") == (number, make_drift(summary="first"))
    assert find_open_episode(ledger, "parts") is None


def test_an_answered_episode_is_no_longer_open_and_no_second_one_opens(ledger: Ledger, make_drift: MakeDrift):
    number = open_episode(ledger, make_drift())
    assert answer_episode(ledger, number, "run 1")
    assert find_open_episode(ledger, "digits") is None
    assert find_unclosed_episode(ledger, "digits") == (number, make_drift())
    assert open_episode(ledger, make_drift()) == number
    assert find_open_episode(ledger, "digits") is None


def test_only_the_run_that_answered_may_answer_again(ledger: Ledger, make_drift: MakeDrift):
    number = open_episode(ledger, make_drift())
    assert answer_episode(ledger, number, "run 1")
    assert answer_episode(ledger, number, "run 1")
    assert not answer_episode(ledger, number, "run 2")
    assert not answer_episode(ledger, number + 1, "run 1")


def test_after_closing_the_next_drift_is_a_new_episode(ledger: Ledger, make_drift: MakeDrift):
    first = open_episode(ledger, make_drift())
    other = open_episode(ledger, make_drift(project="parts"))
    close_episodes(ledger, "digits")
    close_episodes(ledger, "digits")
    assert not answer_episode(ledger, first, "run 1")
    assert find_unclosed_episode(ledger, "digits") is None
    assert find_open_episode(ledger, "parts") == (other, make_drift(project="parts"))
    assert open_episode(ledger, make_drift()) > first
