from datetime import UTC, datetime, timedelta

from include.contracts import HostReport
from include.ledger import Ledger
from include.ledger.host import drop_samples, find_last_sample, list_samples, record_sample

NOW = datetime.now(UTC).replace(microsecond=0)


def sample(minutes_ago: float, **changed: float) -> HostReport:
    measured = {"cpu": 0.5, "memory": 0.25, "disk": 0.75, "sent": 10.0, "received": 20.0}
    return HostReport.model_validate({"at": NOW - timedelta(minutes=minutes_ago), **measured, **changed})


def test_samples_come_back_oldest_first(ledger: Ledger):
    for minutes in (1, 3, 2):
        record_sample(ledger, sample(minutes))
    assert list_samples(ledger, NOW - timedelta(minutes=2.5)) == [sample(2), sample(1)]


def test_the_newest_is_found(ledger: Ledger):
    assert find_last_sample(ledger) is None
    for minutes in (2, 500, 3):
        record_sample(ledger, sample(minutes))
    assert find_last_sample(ledger) == NOW - timedelta(minutes=2)


def test_the_same_moment_is_kept_once(ledger: Ledger):
    record_sample(ledger, sample(1))
    record_sample(ledger, sample(1, cpu=1.0))
    assert list_samples(ledger, NOW - timedelta(minutes=5)) == [sample(1)]


def test_many_samples_become_few_means(ledger: Ledger):
    # What is few is counted up to the present, not to when these tests began.
    now = datetime.now(UTC)
    for minute in range(60):
        at = now - timedelta(minutes=minute)
        record_sample(ledger, sample(minute, cpu=minute % 2).model_copy(update={"at": at}))
    few = list_samples(ledger, now - timedelta(hours=1), points=6)
    assert 6 <= len(few) <= 7
    assert all(0.4 <= one.cpu <= 0.6 for one in few[1:-1])
    assert [one.at for one in few] == sorted(one.at for one in few)


def test_old_samples_are_dropped(ledger: Ledger):
    record_sample(ledger, sample(1))
    record_sample(ledger, sample(90))
    drop_samples(ledger, NOW - timedelta(hours=1))
    assert list_samples(ledger, NOW - timedelta(hours=2)) == [sample(1)]
