"""Leases with a fencing epoch: Airflow may run a task twice, at once, and only the newest attempt may write.

Martin Kleppmann, "How to do distributed locking" (2016), describes the fencing token used here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.errors import LeaseHeldError, StaleAttemptError
from include.ledger.database import Ledger
from include.ledger.tables import leases


@dataclass(frozen=True)
class Lease:
    """The right to write under a name, until a newer epoch is handed out."""

    name: str
    epoch: int

    def guard(self, connection: sa.Connection) -> None:
        """Refuse, inside the writing transaction, if a newer attempt has taken over."""
        current = connection.scalar(sa.select(leases.c.epoch).where(leases.c.name == self.name).with_for_update())
        if current != self.epoch:
            raise StaleAttemptError(
                f"attempt {self.epoch} for {self.name!r} was overtaken by attempt {current}; nothing was written"
            )


@contextmanager
def hold_lease(ledger: Ledger, name: str, holder: str, seconds: int = 600) -> Iterator[Lease]:
    """Hold the lease of a name while the block runs; the same holder may take its own lease over.

    :raises LeaseHeldError: somebody else holds it and has not let it expire.
    """
    lease = take_lease(ledger, name, holder, seconds)
    try:
        yield lease
    finally:
        release_lease(ledger, lease)


def take_lease(ledger: Ledger, name: str, holder: str, seconds: int) -> Lease:
    """Take the lease of a name, or keep the one that this holder has, for so many seconds from now.

    :raises LeaseHeldError: somebody else holds it and has not let it expire.
    """
    expiry = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    take = insert(leases).values(name=name, epoch=1, holder=holder, expires_at=expiry)
    take = take.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"epoch": leases.c.epoch + 1, "holder": holder, "expires_at": expiry},
        where=sa.or_(leases.c.expires_at < sa.func.now(), leases.c.holder == holder),
    )
    with ledger.begin() as connection:
        epoch = connection.scalar(take.returning(leases.c.epoch))
        if epoch is None:
            other = connection.scalar(sa.select(leases.c.holder).where(leases.c.name == name))
            raise LeaseHeldError(f"{name!r} is being written by {other}; try again once that has ended")
    return Lease(name, epoch)


def release_lease(ledger: Ledger, lease: Lease) -> None:
    """Let the next one have it; a lease that was taken over meanwhile stays with whoever took it."""
    mine = sa.and_(leases.c.name == lease.name, leases.c.epoch == lease.epoch)
    with ledger.begin() as connection:
        connection.execute(sa.update(leases).where(mine).values(expires_at=sa.func.now()))
