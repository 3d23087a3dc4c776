"""Locks in the ledger's database: they go when their holder does, however it dies."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from include.ledger import Ledger


@contextmanager
def one_at_a_time(ledger: Ledger, name: str) -> Iterator[sa.Connection]:
    """Keep every other process that asks for the same name waiting while the block runs."""
    with ledger.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_key(name))))
        yield connection


def is_free(connection: sa.Connection, name: str) -> bool:
    """Tell whether nobody holds a name; if so, this connection holds it until its transaction ends."""
    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_key(name)))))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
