"""The signed certificate of every version; the first one issued for a version stays."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.ledger.database import Ledger
from include.ledger.tables import certificates


def record_certificate(ledger: Ledger, project: str, version: int, key: str, signed: bytes) -> bytes:
    """Record the signed certificate of a version; return the one that is on record."""
    row = insert(certificates).values(project=project, version=version, model_key=key, signed=signed)
    with ledger.begin() as connection:
        connection.execute(row.on_conflict_do_nothing())
    return find_certificate(ledger, project, version) or signed


def find_certificate(ledger: Ledger, project: str, version: int) -> bytes | None:
    """Return the signed certificate of a version."""
    found = sa.select(certificates.c.signed).where(certificates.c.project == project, certificates.c.version == version)
    with ledger.begin() as connection:
        return connection.scalar(found)
