"""Read the audit chain page by page, as it stands, so that people can also look at one that is broken.

Whether it holds is for `include.ledger.audit` to say.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.ledger.database import Ledger
from include.ledger.tables import audit_entries


@dataclass(frozen=True)
class WrittenEntry:
    """One row of the chain, unchecked."""

    sequence: int
    at: datetime
    kind: str
    subject: str
    who: str
    why: str
    payload: dict[str, Any]


def list_entries(ledger: Ledger, project: str, limit: int, before: int | None = None) -> list[WrittenEntry]:
    """Return entries of a project's chain, newest first.

    :param before: Only entries older than this one.
    """
    table = audit_entries.c
    query = sa.select(table.sequence, table.at, table.kind, table.subject, table.who, table.why, table.payload)
    query = query.where(table.project == project).order_by(table.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(table.sequence < before)
    with ledger.begin() as connection:
        rows = connection.execute(query).mappings().all()
    # Who damaged an entry may have put anything there; the page shows the rest of it.
    return [
        WrittenEntry(**{**row, "payload": row["payload"] if isinstance(row["payload"], dict) else {}}) for row in rows
    ]
