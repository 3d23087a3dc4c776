"""Samples of what the stack's machine is busy with."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import HostReport
from include.ledger.database import Ledger
from include.ledger.tables import host_samples

MEASURES = ("cpu", "memory", "disk", "sent", "received")


def record_sample(ledger: Ledger, sample: HostReport) -> None:
    """Keep one sample; another one of the same moment is dropped."""
    with ledger.begin() as connection:
        connection.execute(insert(host_samples).values(sample.model_dump()).on_conflict_do_nothing())


def list_samples(ledger: Ledger, since: datetime, points: int = 500) -> list[HostReport]:
    """Return about so many samples at most, oldest first: means over even stretches of the time since a moment.

    :param since: Moment with time zone.
    """
    stretch = max(timedelta(seconds=1), (datetime.now(UTC) - since) / points)
    part = sa.func.date_bin(stretch, host_samples.c.at, since).label("part")
    means = [sa.func.avg(host_samples.c[name]).label(name) for name in MEASURES]
    query = sa.select(sa.func.max(host_samples.c.at).label("at"), *means).where(host_samples.c.at >= since)
    with ledger.begin() as connection:
        rows = connection.execute(query.group_by(part).order_by(part)).mappings().all()
    return [HostReport.model_validate(dict(row)) for row in rows]


def find_last_sample(ledger: Ledger) -> datetime | None:
    """Return when the newest sample was taken."""
    with ledger.begin() as connection:
        last: datetime | None = connection.scalar(sa.select(sa.func.max(host_samples.c.at)))
    return last


def drop_samples(ledger: Ledger, before: datetime) -> None:
    """Forget the samples before a moment."""
    with ledger.begin() as connection:
        connection.execute(sa.delete(host_samples).where(host_samples.c.at < before))
