from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa

from include.errors import LeaseHeldError, StaleAttemptError, TransientError
from include.ledger import Ledger
from include.ledger.leases import Lease, hold_lease, release_lease, take_lease
from include.ledger.tables import leases

NAME = "digits/publish"


def write(ledger: Ledger, lease: Lease) -> None:
    with ledger.begin() as connection:
        lease.guard(connection)


def expire(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(sa.update(leases).values(expires_at=sa.func.now() - sa.text("interval '1 second'")))


def test_only_one_of_many_at_once_holds_it(ledger: Ledger):
    barrier, asked = Barrier(8), Barrier(8)

    def take(holder: int) -> bool:
        barrier.wait(30)
        try:
            with hold_lease(ledger, NAME, str(holder)):
                asked.wait(30)
                return True
        except LeaseHeldError:
            asked.wait(30)
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(take, range(8))) == [False] * 7 + [True]


def test_who_holds_it_is_said_and_the_other_may_retry(ledger: Ledger):
    with hold_lease(ledger, NAME, "first"), pytest.raises(LeaseHeldError, match="written by first") as caught:
        hold_lease(ledger, NAME, "second").__enter__()
    assert isinstance(caught.value, TransientError)


def test_a_released_lease_goes_to_the_next_with_a_higher_epoch(ledger: Ledger):
    with hold_lease(ledger, NAME, "first") as first:
        pass
    with hold_lease(ledger, NAME, "second") as second:
        assert second.epoch == first.epoch + 1


def test_a_block_that_fails_lets_the_lease_go(ledger: Ledger):
    with pytest.raises(RuntimeError), hold_lease(ledger, NAME, "first"):
        raise RuntimeError
    with hold_lease(ledger, NAME, "second") as second:
        write(ledger, second)


def test_a_holder_whose_lease_expired_and_was_taken_may_not_write(ledger: Ledger):
    with hold_lease(ledger, NAME, "stale") as stale:
        expire(ledger)
        with hold_lease(ledger, NAME, "newer") as newer:
            write(ledger, newer)
            with pytest.raises(StaleAttemptError, match=r"attempt 1 .* overtaken by attempt 2"):
                write(ledger, stale)


def test_a_stale_holder_does_not_let_go_of_the_newer_lease(ledger: Ledger):
    stale = hold_lease(ledger, NAME, "stale")
    stale.__enter__()
    expire(ledger)
    with hold_lease(ledger, NAME, "newer"):
        stale.__exit__(None, None, None)
        with pytest.raises(LeaseHeldError, match="newer"):
            hold_lease(ledger, NAME, "third").__enter__()


def test_a_second_attempt_of_the_same_holder_fences_off_the_first(ledger: Ledger):
    with hold_lease(ledger, NAME, "task") as orphan, hold_lease(ledger, NAME, "task") as retry:
        write(ledger, retry)
        with pytest.raises(StaleAttemptError):
            write(ledger, orphan)


def test_an_expired_lease_nobody_took_is_still_good(ledger: Ledger):
    with hold_lease(ledger, NAME, "slow") as slow:
        expire(ledger)
        write(ledger, slow)


def test_names_do_not_disturb_each_other(ledger: Ledger):
    with hold_lease(ledger, NAME, "one"), hold_lease(ledger, "parts/publish", "two") as other:
        write(ledger, other)


def test_a_lease_that_is_kept_belongs_to_nobody_else_until_it_is_released(ledger: Ledger):
    first = take_lease(ledger, NAME, "a", 60)
    kept = take_lease(ledger, NAME, "a", 60)
    with pytest.raises(LeaseHeldError, match="by a"):
        take_lease(ledger, NAME, "b", 60)
    release_lease(ledger, first)
    with pytest.raises(LeaseHeldError):
        take_lease(ledger, NAME, "b", 60)
    release_lease(ledger, kept)
    write(ledger, take_lease(ledger, NAME, "b", 60))
