"""What changed before an incident: most outages follow a change (Beyer et al., Site Reliability Engineering, ch. 1).

Ranked by how often such a change brings about such trouble, and by how shortly before it was made: a rule of thumb that
says where to look first, not a cause.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from include.contracts import IncidentKind
from include.ledger.database import Ledger
from include.ledger.tables import alias_moves, dataset_versions, erasures, release_plans, replicas, sightings

Changed = Literal["data", "model", "release", "configuration", "code", "infrastructure"]

HOURS = 24.0
# In place of a project: what concerns the machines of all. Everything is a suspect then.
PLATFORM = "platform"
# A change loses half of its weight in so many hours.
HALF_LIFE = 6.0
SHOWN = 10
KEYS_SHOWN = 5
TRAFFIC: dict[Changed, float] = {
    "release": 1.0, "model": 0.9, "infrastructure": 0.8, "code": 0.7, "configuration": 0.6, "data": 0.3,
}  # fmt: skip
ANSWERS: dict[Changed, float] = {
    "model": 1.0, "release": 0.9, "data": 0.6, "configuration": 0.4, "code": 0.4, "infrastructure": 0.2,
}  # fmt: skip
WORK: dict[Changed, float] = {
    "data": 1.0, "configuration": 0.9, "code": 0.9, "infrastructure": 0.7, "model": 0.3, "release": 0.2,
}  # fmt: skip
MACHINES: dict[Changed, float] = {
    "infrastructure": 1.0, "release": 0.6, "code": 0.6, "configuration": 0.4, "data": 0.3, "model": 0.2,
}  # fmt: skip
SUSPECTS: dict[IncidentKind, dict[Changed, float]] = {
    "rollback": TRAFFIC, "slo_burn": TRAFFIC, "manual": TRAFFIC,
    "drift": ANSWERS, "unfair": ANSWERS,
    "failed_gate": WORK, "failed_task": WORK, "late_run": WORK,
    "dead_service": MACHINES, "resource": MACHINES,
}  # fmt: skip


class Change(NamedTuple):
    """Something that was changed, and how much it is suspected, from 0 to 1."""

    at: datetime
    changed: Changed
    what: str
    suspicion: float

    def describe(self, until: datetime) -> str:
        """Say what was changed, and how long before."""
        minutes = (until - self.at).total_seconds() / 60
        before = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
        return f"{self.changed}, {before} before: {self.what}"


def list_changes(
    connection: sa.Connection, project: str, until: datetime, kind: IncidentKind, hours: float = HOURS
) -> list[Change]:
    """Return what was changed in the hours before a moment, the most suspected first."""
    found = _find(connection, project, until - timedelta(hours=hours), until)
    weighed = [
        Change(at, changed, what, SUSPECTS[kind][changed] * 0.5 ** ((until - at) / timedelta(hours=HALF_LIFE)))
        for at, changed, what in found
    ]
    return sorted(weighed, key=lambda change: change.suspicion, reverse=True)[:SHOWN]


def record_sighting(ledger: Ledger, project: str, what: Changed, value: str) -> bool:
    """Note how something is now, where it was otherwise when last seen; True if it was, or was never seen.

    :param project: Empty for what concerns every project.
    """
    mine = sa.and_(sightings.c.project == project, sightings.c.what == what)
    with ledger.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{project}/sightings/{what}"))))
        newest = sa.select(sightings.c.value).where(mine).order_by(sightings.c.id.desc()).limit(1)
        if connection.scalar(newest) == value:
            return False
        row = {"project": project, "what": what, "value": value, "seen_at": sa.func.now()}
        connection.execute(sa.insert(sightings).values(row))
    return True


def _find(
    connection: sa.Connection, project: str, since: datetime, until: datetime
) -> Iterator[tuple[datetime, Changed, str]]:
    def read(table: sa.Table) -> list[sa.Row[Any]]:
        at = table.c.recorded_at
        mine = sa.select(table).where(at > since, at < until)
        if project != PLATFORM:
            mine = mine.where(table.c.project == project)
        return list(connection.execute(mine.order_by(at.desc()).limit(SHOWN)).all())

    for row in read(dataset_versions):
        yield row.recorded_at, "data", f"dataset version {row.version} was published"
    for row in read(erasures):
        yield row.recorded_at, "data", "images were erased"
    for row in read(alias_moves):
        yield row.recorded_at, "model", f"version {row.version} became {row.alias}: {row.reason}"
    for row in read(release_plans):
        yield row.recorded_at, "release", f"plan {row.revision}: {row.why}"
    yield from _find_starts(connection, since, until)
    yield from _find_sighted(connection, project, since, until)


def _find_starts(
    connection: sa.Connection, since: datetime, until: datetime
) -> Iterator[tuple[datetime, Changed, str]]:
    for row in connection.execute(sa.select(replicas)):
        started = datetime.fromisoformat(row.report["started_at"])
        if since < started < until:
            yield started, "infrastructure", f"serving process {row.name} was started"


def _find_sighted(
    connection: sa.Connection, project: str, since: datetime, until: datetime
) -> Iterator[tuple[datetime, Changed, str]]:
    mine = sa.select(sightings).where(sightings.c.seen_at < until)
    if project != PLATFORM:
        mine = mine.where(sightings.c.project.in_(("", project)))
    rows = connection.execute(mine.order_by(sightings.c.project, sightings.c.what, sightings.c.id)).all()
    for before, after in pairwise(rows):
        if (before.project, before.what) == (after.project, after.what) and after.seen_at > since:
            yield after.seen_at, after.what, _tell_difference(before.value, after.value)


def _tell_difference(before: str, after: str) -> str:
    """Name the keys that differ, where both are JSON; else both values."""
    try:
        old, new = (dict(_flatten(json.loads(text))) for text in (before, after))
    except ValueError:
        return f"{after} instead of {before}"
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    told = [f"{key} {old.get(key)} → {new.get(key)}" for key in differing[:KEYS_SHOWN]]
    more = f", and {len(differing) - KEYS_SHOWN} more" if len(differing) > KEYS_SHOWN else ""
    return ", ".join(told) + more


def _flatten(document: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(document, dict):
        yield prefix, json.dumps(document)
        return
    for key, value in document.items():
        yield from _flatten(value, f"{prefix}.{key}".lstrip("."))
