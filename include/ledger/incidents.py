"""Incidents: what people do about trouble, and what is known of it; every deed is on the audit chain."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from pydantic_core import to_json

from include.contracts import (
    Contract,
    CorrectiveActionReport,
    IncidentEventReport,
    IncidentKind,
    IncidentReport,
    Level,
)
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.database import Ledger
from include.ledger.tables import corrective_actions, incident_events, incidents
from include.ledger.troubles import (
    ACKNOWLEDGED,
    OPEN,
    RESOLVED,
    UNRESOLVED,
    Trouble,
    lock_incident,
    record_deed,
    report_trouble,
)


def open_incident(  # noqa: PLR0913 - all of it is what somebody has to know who is woken
    ledger: Ledger,
    project: str,
    *,
    kind: IncidentKind,
    key: str,
    title: str,
    impact: Level,
    urgency: Level,
    runbook: str,
    owner: str = "",
    evidence: Mapping[str, Any] | None = None,
    opened_at: datetime | None = None,
    who: str | None = None,
) -> int:
    """Open an incident, or find the one of this key that nobody has resolved; return its number.

    Reported again, it counts up, keeps the newest evidence, and grows worse where impact and urgency have.

    :param opened_at: Moment with time zone at which it began, where it could not be told then.
    :raises ContractViolationError: kind, impact or urgency is none, or project, key or title is empty.
    """
    told = {"kind": kind, "key": key, "title": title, "impact": impact, "urgency": urgency, "runbook": runbook}
    # An alarm must not be lost for a number that JSON cannot hold.
    seen = json.loads(to_json(dict(evidence or {}), inf_nan_mode="null", fallback=str))
    about = {"project": project, "owner": owner, "opened_at": opened_at}
    try:
        trouble = Trouble.model_validate({**told, **about, "evidence": seen})
    except ValidationError as error:
        raise ContractViolationError(f"this is no incident: {error}") from error
    with ledger.begin() as connection:
        return report_trouble(connection, trouble, who)


def acknowledge_incident(ledger: Ledger, number: int, *, who: str, why: str = "") -> None:
    """Take an incident on; it no longer escalates. Who was first stands.

    :raises ArtifactNotFoundError: there is none of this number.
    :raises ContractViolationError: it is resolved already.
    """
    with ledger.begin() as connection:
        found = lock_incident(connection, number)
        if found.state == RESOLVED:
            raise ContractViolationError(f"incident {number} was resolved by {found.resolved_by}; open a new one")
        if found.state == ACKNOWLEDGED:
            return
        taken = {"state": ACKNOWLEDGED, "acknowledged_at": sa.func.now(), "acknowledged_by": who, "owner": who}
        _change(connection, number, taken)
        record_deed(connection, found, "acknowledged", who, why or "taken on")


def resolve_incident(ledger: Ledger, number: int, *, who: str, why: str, lesson: str = "") -> None:
    """Close an incident; resolving it again changes nothing but the lesson, where one is given.

    :param lesson: What to do otherwise from now on, for the register of lessons.
    :raises ArtifactNotFoundError: there is none of this number.
    """
    with ledger.begin() as connection:
        _resolve(connection, lock_incident(connection, number), who, why, lesson)


def resolve_key(ledger: Ledger, project: str, key: str, *, who: str, why: str) -> int | None:
    """Close the unresolved incident of a key, because its trouble is over; return its number, if there is one."""
    unresolved = sa.and_(incidents.c.project == project, incidents.c.key == key, UNRESOLVED)
    with ledger.begin() as connection:
        found = connection.execute(sa.select(incidents).where(unresolved).with_for_update()).first()
        if found is None:
            return None
        _resolve(connection, found, who, why, "")
    return int(found.id)


def escalate_incident(ledger: Ledger, number: int, step: int, *, to: str, why: str, who: str) -> bool:
    """Hand an incident that nobody has taken on to the next of its path; False if somebody was there before.

    :param step: Steps taken so far, 0 at first.
    """
    with ledger.begin() as connection:
        found = lock_incident(connection, number)
        if (found.state, found.escalation) != (OPEN, step):
            return False
        _change(connection, number, {"escalation": step + 1, "owner": to})
        record_deed(connection, found, "escalated", who, f"to {to}: {why}", step=step + 1)
    return True


def add_note(ledger: Ledger, number: int, *, who: str, what: str, kind: str = "note") -> None:
    """Write a line onto the timeline.

    :param kind: `note`, or `change` for something that has changed.
    :raises ArtifactNotFoundError: there is none of this number.
    :raises ContractViolationError: it is empty, or of another kind.
    """
    if kind not in {"note", "change"} or not what.strip():
        raise ContractViolationError(f"{kind!r} {what!r} is no line for a timeline; write a `note` or a `change`")
    with ledger.begin() as connection:
        record_deed(connection, lock_incident(connection, number), kind, who, what)


def find_incident(ledger: Ledger, number: int) -> IncidentReport:
    """Return an incident with its timeline and corrective actions.

    :raises ArtifactNotFoundError: there is none of this number.
    """
    with ledger.begin() as connection:
        found = _read(connection, sa.select(incidents).where(incidents.c.id == number))
    if not found:
        raise ArtifactNotFoundError(f"the ledger knows no incident {number}")
    return found[0]


def find_unresolved(ledger: Ledger, project: str, key: str) -> IncidentReport | None:
    """Return the incident of a key that nobody has resolved yet."""
    unresolved = sa.and_(incidents.c.project == project, incidents.c.key == key, UNRESOLVED)
    with ledger.begin() as connection:
        return next(iter(_read(connection, sa.select(incidents).where(unresolved))), None)


def list_incidents(
    ledger: Ledger, project: str | None, limit: int, *, unresolved: bool = False
) -> list[IncidentReport]:
    """Return the newest incidents of a project, or of all, newest first."""
    query = sa.select(incidents).order_by(incidents.c.id.desc()).limit(limit)
    if project is not None:
        query = query.where(incidents.c.project == project)
    if unresolved:
        query = query.where(UNRESOLVED)
    with ledger.begin() as connection:
        return _read(connection, query)


def list_lessons(ledger: Ledger, project: str | None, limit: int) -> list[IncidentReport]:
    """Return the incidents that left a lesson, newest first."""
    query = sa.select(incidents).where(incidents.c.lesson != "").order_by(incidents.c.id.desc()).limit(limit)
    with ledger.begin() as connection:
        return _read(connection, query if project is None else query.where(incidents.c.project == project))


def _resolve(connection: sa.Connection, found: sa.Row[Any], who: str, why: str, lesson: str) -> None:
    if found.state != RESOLVED:
        _change(connection, found.id, {"state": RESOLVED, "resolved_at": sa.func.now(), "resolved_by": who})
        record_deed(connection, found, "resolved", who, why)
    if lesson and lesson != found.lesson:
        _change(connection, found.id, {"lesson": lesson})
        record_deed(connection, found, "note", who, f"lesson: {lesson}")


def _change(connection: sa.Connection, number: int, values: dict[str, Any]) -> None:
    connection.execute(sa.update(incidents).where(incidents.c.id == number).values(values))


def _read(connection: sa.Connection, query: sa.Select[Any]) -> list[IncidentReport]:
    rows = connection.execute(query).mappings().all()
    numbers = [row["id"] for row in rows]
    events = _gather(connection, incident_events, IncidentEventReport, numbers)
    actions = _gather(connection, corrective_actions, CorrectiveActionReport, numbers)
    return [
        IncidentReport.model_validate({**row, "timeline": events[row["id"]], "actions": actions[row["id"]]})
        for row in rows
    ]


def _gather(
    connection: sa.Connection, table: sa.Table, kind: type[Contract], numbers: Sequence[int]
) -> dict[int, list[Contract]]:
    """Return what belongs to each incident, oldest first."""
    mine = sa.select(table).where(table.c.incident.in_(numbers))
    order = (table.c.at, table.c.id) if "at" in table.c else (table.c.id,)
    gathered: dict[int, list[Contract]] = {number: [] for number in numbers}
    for row in connection.execute(mine.order_by(*order)).mappings():
        gathered[row["incident"]].append(kind.model_validate({name: row[name] for name in kind.model_fields}))
    return gathered
