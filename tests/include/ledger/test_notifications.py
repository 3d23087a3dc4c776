import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from include.ledger import Ledger
from include.ledger.notifications import (
    deliver_once,
    find_heard,
    find_last_told,
    list_due,
    postpone,
    queue_notification,
    settle,
)
from include.settings import REPOSITORY
from tests.include.outbox import find_notification

NOW = datetime.now(UTC)


def queue(ledger: Ledger, key: str = "incident/1/opened", **changed) -> bool:
    told = {"project": "digits", "subject": "slo/latency", "severity": "major", "title": "slow", "body": "slow"}
    return queue_notification(ledger, key=key, **{**told, "due_at": NOW, **changed})


def test_the_same_key_is_queued_once_by_many(ledger: Ledger):
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: queue(ledger), range(8))) == [False] * 7 + [True]
    (found,) = list_due(ledger, NOW)
    assert find_notification(ledger, "incident/1/opened") == found
    assert find_last_told(ledger, "digits", "slo/latency") == found.recorded_at
    assert find_last_told(ledger, "digits", "slo/accuracy") is None


def test_a_channel_has_heard_of_what_it_took(ledger: Ledger):
    for key in "abc":
        queue(ledger, key)
    numbers = {one.key: one.id for one in list_due(ledger, NOW)}
    for key, channel, took in (("a", "mail", True), ("a", "chat", False), ("b", "mail", True), ("c", "pager", True)):
        deliver_once(ledger, numbers[key], channel, lambda took=took: took)
    assert find_heard(ledger, ["a", "b"]) == {"mail"}
    assert find_heard(ledger, ["c", "d"]) == {"pager"}
    assert find_heard(ledger, []) == set()


def test_only_what_is_due_and_unsettled_is_to_be_told(ledger: Ledger):
    queue(ledger, "a")
    queue(ledger, "b", due_at=NOW + timedelta(hours=1))
    queue(ledger, "c")
    queue(ledger, "d")
    by_key = {one.key: one.id for one in list_due(ledger, NOW + timedelta(days=1))}
    settle(ledger, by_key["c"], "told")
    postpone(ledger, by_key["d"], NOW + timedelta(minutes=1))
    assert [one.key for one in list_due(ledger, NOW)] == ["a"]
    assert [one.key for one in list_due(ledger, NOW + timedelta(hours=2))] == ["a", "b", "d"]


def test_a_channel_is_told_once_however_many_try_at_once(ledger: Ledger):
    queue(ledger)
    sent = []

    def send() -> bool:
        sent.append(1)
        return True

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: deliver_once(ledger, 1, "mail", send), range(8)))
    assert len(sent) == 1
    assert deliver_once(ledger, 1, "mail", send)
    assert deliver_once(ledger, 1, "chat", send)
    assert len(sent) == 2


def test_what_failed_is_tried_again(ledger: Ledger):
    queue(ledger)
    assert not deliver_once(ledger, 1, "mail", lambda: False)
    with pytest.raises(RuntimeError):
        deliver_once(ledger, 1, "mail", _break)
    assert deliver_once(ledger, 1, "mail", lambda: True)


def test_a_sender_killed_before_it_sent_loses_nothing(ledger: Ledger, ledger_uri: str):
    queue(ledger)
    killed = (
        "import os, sys; from include.ledger import Ledger; from include.ledger.notifications import deliver_once;"
        "deliver_once(Ledger(sys.argv[1]), 1, 'mail', lambda: os.kill(os.getpid(), 9))"
    )
    done = subprocess.run([sys.executable, "-c", killed, ledger_uri], cwd=REPOSITORY, check=False)
    assert done.returncode == -9
    # PostgreSQL notices within moments that nobody holds the notice any more.
    deadline = time.monotonic() + 30
    while not (delivered := deliver_once(ledger, 1, "mail", lambda: True)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert delivered


def _break() -> bool:
    raise RuntimeError("the network is gone")
