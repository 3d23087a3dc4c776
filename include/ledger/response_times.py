"""How long people take: from the opening of an incident to somebody's answer, and to its end."""

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from include.ledger.database import Ledger
from include.ledger.tables import incidents

LOOKED_BACK = timedelta(days=90)


class ResponseTimes(NamedTuple):
    """Means over the incidents of a time; none where nobody has answered, or nothing has ended."""

    opened: int
    acknowledged: int
    resolved: int
    to_acknowledge: timedelta | None
    to_resolve: timedelta | None


def measure_response(ledger: Ledger, project: str | None, since: datetime) -> ResponseTimes:
    """Measure the mean times to acknowledge (MTTA) and to resolve (MTTR) of incidents opened since a moment.

    :param project: All of them, where none is given.
    """
    table = incidents.c
    query = sa.select(
        sa.func.count(),
        sa.func.count(table.acknowledged_at),
        sa.func.count(table.resolved_at),
        sa.func.avg(table.acknowledged_at - table.opened_at),
        sa.func.avg(table.resolved_at - table.opened_at),
    ).where(table.opened_at >= since)
    if project is not None:
        query = query.where(table.project == project)
    with ledger.begin() as connection:
        return ResponseTimes(*connection.execute(query).one())
