import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from include.errors import ServiceUnavailableError
from include.ledger import Ledger
from include.ledger.objectives import Tally, sum_counts
from include.monitoring.counting import LogCounter
from include.predictions import append_rows
from include.storage import Store

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
HOURS = (24.0,)


@pytest.fixture
def log(store: Store) -> Callable[..., str]:
    """Give a function that logs answers as a segment of its own; it returns the segment's name."""

    def log(at: datetime, answered_by: list[str], latency_ms: float = 10.0, name: str = "") -> str:
        rows = [
            {"request_id": uuid.uuid4().hex, "time": at, "project": "digits", "answered_by": who.removeprefix("odd ")}
            | {"latency_ms": latency_ms, "failed": "champion: broken" if who in {"abstain", "baseline"} else None}
            for who in answered_by
        ]
        name = name or f"{at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex}"
        append_rows(store, "predictions", name, rows)
        return name

    return log


def count(store: Store, ledger: Ledger, now: datetime = NOW) -> tuple[Tally, Tally]:
    LogCounter(store, ledger, "digits", 500).count(now)
    return read(ledger, now)


def read(ledger: Ledger, now: datetime = NOW) -> tuple[Tally, Tally]:
    available, fast = (sum_counts(ledger, "digits", name, now, HOURS)[24.0] for name in ("availability", "latency"))
    return available, fast


def test_good_is_what_a_model_answered_in_time(store, ledger, log):
    log(NOW, ["champion", "candidate", "previous", "baseline", "abstain", "odd abstain"])
    log(NOW - timedelta(minutes=5), ["champion"], latency_ms=501)
    assert count(store, ledger) == (Tally(5, 7), Tally(4, 5))


def test_no_traffic_counts_nothing(store, ledger):
    assert count(store, ledger) == (Tally(0, 0), Tally(0, 0))


def test_every_file_counts_once_however_often_it_is_looked_at(store, ledger, log):
    counter = LogCounter(store, ledger, "digits", 500)
    log(NOW, ["champion"])
    counter.count(NOW)
    log(NOW, ["champion", "abstain"])
    counter.count(NOW)
    counter.count(NOW + timedelta(minutes=1))
    assert read(ledger, NOW + timedelta(minutes=1))[0] == Tally(2, 3)


def test_a_new_counter_goes_on_where_the_last_one_was_killed(store, ledger, log):
    for minutes in (40, 12, 3):
        log(NOW - timedelta(minutes=minutes), ["champion"])
    assert count(store, ledger)[0] == Tally(3, 3)
    log(NOW, ["champion"])
    log(NOW - timedelta(minutes=3), ["champion"])
    assert count(store, ledger)[0] == Tally(5, 5)


def test_a_day_folded_into_one_file_is_not_counted_again(store, ledger, log):
    log(NOW - timedelta(hours=2), ["champion"] * 3)
    counter = LogCounter(store, ledger, "digits", 500)
    counter.count(NOW)
    log(NOW - timedelta(hours=2), ["champion"] * 3, name="folded")
    counter.count(NOW)
    assert read(ledger)[0] == Tally(3, 3)


def test_a_broken_file_keeps_nobody_from_the_others(store, ledger, log):
    store.write(f"digits/predictions/2026-03-02/20260302T003000-{'0' * 32}.parquet", b"no parquet")
    log(NOW, ["champion"])
    assert count(store, ledger)[0] == Tally(1, 1)


def test_what_the_ledger_did_not_take_is_told_again(store, ledger, log, monkeypatch):
    log(NOW, ["champion"])
    counter = LogCounter(store, ledger, "digits", 500)
    counter.count(NOW - timedelta(minutes=1))
    log(NOW, ["champion"])
    with monkeypatch.context() as context:
        context.setattr(counter, "_ledger", Ledger("postgresql://nobody@127.0.0.1:9/none"))
        with pytest.raises(ServiceUnavailableError):
            counter.count(NOW)
    counter.count(NOW)
    assert read(ledger)[0] == Tally(2, 2)
