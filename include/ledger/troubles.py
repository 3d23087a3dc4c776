"""Trouble becomes an incident: opened once however often it is reported, with what changed before it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import Field, JsonValue
from sqlalchemy.dialects.postgresql import insert

from include.contracts import Contract, IncidentKind, Level, RolloutRef
from include.errors import ArtifactNotFoundError
from include.ledger.audit import append_entry, name_user
from include.ledger.changes import list_changes
from include.ledger.severity import SEVERITIES, rate_severity
from include.ledger.tables import incident_events, incidents
from include.project import PROJECT_NAME

UNRESOLVED = sa.text("state <> 'resolved'")
OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"


class Trouble(Contract):
    """What somebody has to know of; while it is not resolved, the same key is the same incident."""

    project: str = Field(pattern=PROJECT_NAME)
    kind: IncidentKind
    key: str = Field(min_length=1)
    title: str = Field(min_length=1)
    impact: Level
    urgency: Level
    runbook: str = Field(description="Page of the documentation, with its anchor.")
    owner: str = ""
    evidence: dict[str, JsonValue] = Field(default={}, description="What was seen.")
    opened_at: datetime | None = Field(default=None, description="When it began; now, where it is told as it begins.")


def report_trouble(connection: sa.Connection, trouble: Trouble, who: str | None) -> int:
    """Open an incident within the transaction of what led to it, or find the unresolved one; see `open_incident`."""
    mine = sa.and_(incidents.c.project == trouble.project, incidents.c.key == trouble.key, UNRESOLVED)
    again = {"seen": incidents.c.seen + 1, "evidence": trouble.evidence}
    # First, because an insert that finds the row uses up a number all the same.
    known = connection.execute(sa.update(incidents).where(mine).values(again).returning(incidents)).first()
    found = known or _insert(connection, trouble)
    if found.seen > 1:
        _count_up(connection, found, trouble, who)
        return int(found.id)
    seen = {"severity": found.severity, "evidence": trouble.evidence}
    record_deed(connection, found, "opened", who, trouble.title, at=found.opened_at, **seen)
    changes = list_changes(connection, trouble.project, found.opened_at, trouble.kind)
    for rank, change in enumerate(changes, start=1):
        _append(connection, found.id, "change", who, f"suspect {rank}: {change.describe(found.opened_at)}", change.at)
    return int(found.id)


def report_rollback(connection: sa.Connection, rollout: RolloutRef, reasons: list[str], who: str | None) -> None:
    """Open the incident of a rollout that was taken back without anybody asking for it."""
    model = rollout.release.model
    why = "; ".join(reasons) or "it did not prove itself"
    trouble = Trouble(
        project=model.model.project,
        kind="rollback",
        key=f"rollback/{rollout.id}",
        title=f"version {model.version} was taken back: {why}",
        impact="medium",
        urgency="medium",
        runbook="docs/runbook.md#deploy_model",
        evidence={"rollout": rollout.id, "release": rollout.release.digest, "strategy": rollout.strategy},
    )
    report_trouble(connection, trouble, who)


def lock_incident(connection: sa.Connection, number: int) -> sa.Row[Any]:
    """Hold an incident's row until the transaction ends.

    :raises ArtifactNotFoundError: there is none of this number.
    """
    found = connection.execute(sa.select(incidents).where(incidents.c.id == number).with_for_update()).first()
    if found is None:
        raise ArtifactNotFoundError(f"the ledger knows no incident {number}")
    return found


def record_deed(
    connection: sa.Connection,
    incident: sa.Row[Any],
    kind: str,
    who: str | None,
    what: str,
    *,
    at: datetime | None = None,
    **facts: Any,
) -> None:
    """Write what was done about an incident onto its timeline and the audit chain; the caller holds its row.

    :param at: Moment on the timeline, where it is not now.
    """
    who = who or name_user()
    _append(connection, incident.id, kind, who, what, at)
    facts = {"deed": kind, "key": incident.key, **facts}
    append_entry(connection, incident.project, "incident", f"incident {incident.id}", who=who, why=what, **facts)


def _insert(connection: sa.Connection, trouble: Trouble) -> sa.Row[Any]:
    """Write the first report, or count up where another was first at the same moment."""
    row = insert(incidents).values(
        **trouble.model_dump(exclude={"opened_at"}),
        severity=rate_severity(trouble.impact, trouble.urgency),
        state=OPEN,
        opened_at=trouble.opened_at or sa.func.now(),
        escalation=0,
        seen=1,
        lesson="",
    )
    once = row.on_conflict_do_update(
        index_elements=[incidents.c.project, incidents.c.key],
        index_where=UNRESOLVED,
        set_={"seen": incidents.c.seen + 1, "evidence": row.excluded.evidence},
    )
    return connection.execute(once.returning(incidents)).one()


def _count_up(connection: sa.Connection, found: sa.Row[Any], trouble: Trouble, who: str | None) -> None:
    """Note that an incident was reported again; a machine does so every few seconds, so that one line holds for all."""
    said = f"reported {found.seen} times"
    newest = sa.select(sa.func.max(incident_events.c.id)).where(incident_events.c.incident == found.id)
    last = sa.and_(incident_events.c.id == newest.scalar_subquery(), incident_events.c.kind == "seen_again")
    if connection.execute(sa.update(incident_events).where(last).values(at=sa.func.now(), what=said)).rowcount == 0:
        _append(connection, found.id, "seen_again", who, said)
    severity = rate_severity(trouble.impact, trouble.urgency)
    if SEVERITIES.index(severity) < SEVERITIES.index(found.severity):
        worse = {"impact": trouble.impact, "urgency": trouble.urgency, "severity": severity, "title": trouble.title}
        connection.execute(sa.update(incidents).where(incidents.c.id == found.id).values(worse))
        record_deed(connection, found, "note", who, f"{severity} instead of {found.severity}: {trouble.title}")


def _append(
    connection: sa.Connection, incident: int, kind: str, who: str | None, what: str, at: datetime | None = None
) -> None:
    row = {"incident": incident, "kind": kind, "who": who or name_user(), "what": what, "at": at or sa.func.now()}
    connection.execute(sa.insert(incident_events).values(row))
