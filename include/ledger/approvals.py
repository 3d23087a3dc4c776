"""What people answered for: the quarantines they released."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.ledger.database import Ledger
from include.ledger.tables import quarantine_releases


@dataclass(frozen=True)
class QuarantineRelease:
    """One content of a partition that a person let pass."""

    partition: str
    content: str
    released_by: str
    reason: str
    released_at: datetime


def list_quarantine_releases(ledger: Ledger, project: str) -> list[QuarantineRelease]:
    """Return every release of a project's quarantines, newest first."""
    table = quarantine_releases.c
    query = sa.select(table.partition, table.content, table.released_by, table.reason, table.recorded_at)
    query = query.where(table.project == project).order_by(table.id.desc())
    with ledger.begin() as connection:
        return [QuarantineRelease(*row) for row in connection.execute(query)]
