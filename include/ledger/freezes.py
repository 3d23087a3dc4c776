"""Freezes that stand until they are lifted: an exhausted error budget lets no rollout begin."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.errors import ArtifactNotFoundError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.tables import freezes


class FreezeRecord(NamedTuple):
    """A freeze that stands."""

    cause: str
    reason: str
    since: datetime


def freeze_rollouts(ledger: Ledger, project: str, *, cause: str, reason: str, who: str) -> bool:
    """Let no rollout of a project begin, on the audit chain; False if this cause has frozen them already."""
    row = insert(freezes).values(project=project, cause=cause, reason=reason)
    with ledger.begin() as connection:
        if not connection.execute(row.on_conflict_do_nothing()).rowcount:
            return False
        append_entry(connection, project, "override", "rollouts frozen", who=who, why=reason, cause=cause)
    return True


def lift_freeze(ledger: Ledger, project: str, *, cause: str, who: str | None, why: str) -> None:
    """Let rollouts begin again, on the audit chain.

    :raises ArtifactNotFoundError: this cause has frozen none.
    """
    lift = sa.update(freezes).where(_standing(project), freezes.c.cause == cause).values(lifted_at=sa.func.now())
    with ledger.begin() as connection:
        if not connection.execute(lift).rowcount:
            raise ArtifactNotFoundError(f"no freeze {cause!r} of {project} stands; nothing was lifted")
        append_entry(connection, project, "override", "freeze lifted", who=who, why=why, cause=cause)


def list_freezes(ledger: Ledger, project: str) -> list[FreezeRecord]:
    """Return what stands, oldest first."""
    query = sa.select(freezes.c.cause, freezes.c.reason, freezes.c.recorded_at).where(_standing(project))
    with ledger.begin() as connection:
        return [FreezeRecord(*row) for row in connection.execute(query.order_by(freezes.c.id))]


def _standing(project: str) -> sa.ColumnElement[bool]:
    return sa.and_(freezes.c.project == project, freezes.c.lifted_at.is_(None))
