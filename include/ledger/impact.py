"""How many requests an incident concerned, by the counts that objectives are measured with; minute by minute."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from include.ledger.changes import PLATFORM
from include.ledger.database import Ledger
from include.ledger.tables import objective_counts

# What clients asked; the watcher counts its own questions under another name.
CLIENTS = "log"


class Impact(NamedTuple):
    """Requests of a time, those that no model answered, and answers that took longer than promised."""

    requests: int
    unanswered: int
    slow: int


def measure_impact(ledger: Ledger, project: str, start: datetime, end: datetime) -> Impact:
    """Count a project's requests from the minute of a start to an end; of the platform, those of all projects."""
    table = objective_counts.c
    minutes = sa.and_(table.minute >= start.replace(second=0, microsecond=0), table.minute <= end)
    counted = sa.and_(minutes, table.source == CLIENTS, sa.true() if project == PLATFORM else table.project == project)
    query = sa.select(table.objective, sa.func.sum(table.events), sa.func.sum(table.good)).where(counted)
    with ledger.begin() as connection:
        rows = connection.execute(query.group_by(table.objective)).all()
    sums = {objective: (int(events), int(good)) for objective, events, good in rows}
    (requests, answered), (answers, fast) = (sums.get(name, (0, 0)) for name in ("availability", "latency"))
    return Impact(requests, requests - answered, answers - fast)
