"""The outbox: what is to be told, and to which channels it has been; nothing is lost or told twice by a kill."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import Severity
from include.ledger.database import Ledger
from include.ledger.tables import deliveries, notifications


class Notification(NamedTuple):
    """Something to be told."""

    id: int
    key: str
    project: str
    subject: str
    severity: Severity
    title: str
    body: str
    due_at: datetime
    recorded_at: datetime
    settled_at: datetime | None
    outcome: str


def queue_notification(
    ledger: Ledger,
    *,
    key: str,
    project: str,
    subject: str,
    severity: Severity,
    title: str,
    body: str,
    due_at: datetime,
) -> bool:
    """Put something into the outbox; False if it has been there before.

    :param key: Names it: the same key is told once.
    :param subject: The trouble that it is about.
    :param due_at: Moment with time zone before which nobody is told.
    """
    told = {"project": project, "subject": subject, "severity": severity, "title": title, "body": body}
    row = insert(notifications).values(key=key, **told, due_at=due_at, outcome="")
    with ledger.begin() as connection:
        return bool(connection.execute(row.on_conflict_do_nothing()).rowcount)


def list_due(ledger: Ledger, at: datetime, limit: int = 50) -> list[Notification]:
    """Return what is to be told now, oldest first."""
    due = sa.and_(notifications.c.settled_at.is_(None), notifications.c.due_at <= at)
    columns = [notifications.c[name] for name in Notification._fields]
    query = sa.select(*columns).where(due).order_by(notifications.c.id).limit(limit)
    with ledger.begin() as connection:
        return [Notification(*row) for row in connection.execute(query)]


def find_last_told(ledger: Ledger, project: str, subject: str) -> datetime | None:
    """Return when a trouble was put into the outbox for the last time."""
    mine = sa.and_(notifications.c.project == project, notifications.c.subject == subject)
    with ledger.begin() as connection:
        last: datetime | None = connection.scalar(sa.select(sa.func.max(notifications.c.recorded_at)).where(mine))
    return last


def find_heard(ledger: Ledger, keys: Sequence[str]) -> set[str]:
    """Return the channels that took at least one of some notifications."""
    sent = sa.and_(notifications.c.key.in_(keys), deliveries.c.sent_at.is_not(None))
    both = deliveries.join(notifications, deliveries.c.notification == notifications.c.id)
    with ledger.begin() as connection:
        return set(connection.scalars(sa.select(deliveries.c.channel).select_from(both).where(sent)))


def deliver_once(ledger: Ledger, number: int, channel: str, send: Callable[[], bool]) -> bool:
    """Send a notification over a channel unless it was sent already; tell whether it has been.

    The row stays locked while it is sent: a second sender waits for none and sends nothing, and what a killed one had
    not finished is free again at once. Only between the last byte sent and the commit can a kill make it come twice.
    """
    mine = sa.and_(deliveries.c.notification == number, deliveries.c.channel == channel)
    with ledger.begin() as connection:
        row = insert(deliveries).values(notification=number, channel=channel, attempts=0)
        connection.execute(row.on_conflict_do_nothing())
    with ledger.begin() as connection:
        locked = sa.select(deliveries).where(mine).with_for_update(skip_locked=True)
        found = connection.execute(locked).first()
        if found is None or found.sent_at:
            return found is not None
        sent = send()
        done: dict[str, Any] = {"sent_at": sa.func.clock_timestamp()} if sent else {}
        connection.execute(sa.update(deliveries).where(mine).values(attempts=deliveries.c.attempts + 1, **done))
    return sent


def postpone(ledger: Ledger, number: int, due_at: datetime) -> None:
    """Try a notification again later."""
    _change(ledger, number, {"due_at": due_at})


def settle(ledger: Ledger, number: int, outcome: str) -> None:
    """Note that nothing is left to do about a notification."""
    _change(ledger, number, {"settled_at": sa.func.now(), "outcome": outcome})


def _change(ledger: Ledger, number: int, values: dict[str, Any]) -> None:
    with ledger.begin() as connection:
        connection.execute(sa.update(notifications).where(notifications.c.id == number).values(values))
