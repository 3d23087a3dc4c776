"""What objectives are measured by: good events and all events, minute by minute, and the newest report of each."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import Objective, ObjectiveReport
from include.ledger.database import Ledger
from include.ledger.tables import objective_counts, objective_reports


class Tally(NamedTuple):
    """Good events among all."""

    good: int
    events: int


def record_counts(
    ledger: Ledger, project: str, objective: Objective, source: str, counts: Mapping[datetime, Tally]
) -> None:
    """Keep what a source has counted, by minute; those of a minute only grow: telling twice is telling once.

    :param source: Who counted; what two sources count in a minute adds up.
    """
    if not counts:
        return
    shared = {"project": project, "objective": objective, "source": source}
    rows = [{**shared, "minute": minute, **tally._asdict()} for minute, tally in counts.items()]
    row, table = insert(objective_counts).values(rows), objective_counts.c
    grown = {name: sa.func.greatest(table[name], row.excluded[name]) for name in ("good", "events")}
    key = [table.project, table.objective, table.source, table.minute]
    with ledger.begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=key, set_=grown))


def sum_counts(
    ledger: Ledger, project: str, objective: Objective, at: datetime, hours: tuple[float, ...]
) -> dict[float, Tally]:
    """Add up what was counted in the hours before a moment with time zone, for each of several lengths."""
    table = objective_counts.c
    sums = [
        sa.func.coalesce(sa.func.sum(column).filter(table.minute > at - timedelta(hours=length)), 0)
        for length in hours
        for column in (table.good, table.events)
    ]
    mine = sa.and_(table.project == project, table.objective == objective)
    query = sa.select(*sums).where(mine, table.minute <= at, table.minute > at - timedelta(hours=max(hours)))
    with ledger.begin() as connection:
        row = [int(value) for value in connection.execute(query).one()]
    return {length: Tally(*row[2 * place : 2 * place + 2]) for place, length in enumerate(hours)}


def find_last_minute(ledger: Ledger, project: str, objective: Objective, source: str) -> datetime | None:
    """Return the newest minute in which a source counted something."""
    table = objective_counts.c
    mine = sa.and_(table.project == project, table.objective == objective, table.source == source)
    with ledger.begin() as connection:
        last: datetime | None = connection.scalar(sa.select(sa.func.max(table.minute)).where(mine))
    return last


def find_first_minute(ledger: Ledger, project: str, objective: Objective) -> datetime | None:
    """Return the oldest minute of an objective that is known."""
    table = objective_counts.c
    mine = sa.and_(table.project == project, table.objective == objective)
    with ledger.begin() as connection:
        first: datetime | None = connection.scalar(sa.select(sa.func.min(table.minute)).where(mine))
    return first


def drop_counts(ledger: Ledger, before: datetime) -> None:
    """Forget the counts of minutes before a moment."""
    with ledger.begin() as connection:
        connection.execute(sa.delete(objective_counts).where(objective_counts.c.minute < before))


def record_objective(ledger: Ledger, report: ObjectiveReport) -> None:
    """Keep the newest report of an objective."""
    values = {"report": report.model_dump(mode="json"), "recorded_at": sa.func.now()}
    row = insert(objective_reports).values(project=report.project, objective=report.objective, **values)
    key = [objective_reports.c.project, objective_reports.c.objective]
    with ledger.begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=key, set_=values))


def list_objectives(ledger: Ledger, project: str) -> list[ObjectiveReport]:
    """Return the newest report of each of a project's objectives, by name."""
    query = sa.select(objective_reports.c.report).where(objective_reports.c.project == project)
    with ledger.begin() as connection:
        rows = connection.scalars(query.order_by(objective_reports.c.objective))
        return [ObjectiveReport.model_validate(row) for row in rows]


def forget_objectives(ledger: Ledger, project: str, promised: set[Objective]) -> None:
    """Remove the reports of objectives that are promised no longer."""
    table = objective_reports.c
    with ledger.begin() as connection:
        connection.execute(
            sa.delete(objective_reports).where(table.project == project, table.objective.not_in(promised))
        )
