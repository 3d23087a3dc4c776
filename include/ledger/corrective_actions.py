"""Corrective actions: what is to be done so that an incident does not come again; also after it is resolved."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from include.contracts import CorrectiveActionReport
from include.errors import ArtifactNotFoundError
from include.ledger.database import Ledger
from include.ledger.tables import corrective_actions, incidents
from include.ledger.troubles import lock_incident, record_deed

COLUMNS = [corrective_actions.c[name] for name in CorrectiveActionReport.model_fields]


def add_action(ledger: Ledger, number: int, *, who: str, what: str, owner: str, due: datetime | None = None) -> int:
    """Note what is to be done so that an incident does not come again; return the action's number.

    :param due: Moment with time zone.
    :raises ArtifactNotFoundError: there is no incident of this number.
    """
    with ledger.begin() as connection:
        found = lock_incident(connection, number)
        row = sa.insert(corrective_actions).values(incident=number, what=what, owner=owner, due=due)
        action = int(connection.execute(row.returning(corrective_actions.c.id)).scalar_one())
        until = f", due {due:%Y-%m-%d}" if due else ""
        record_deed(connection, found, "action", who, f"to do by {owner}{until}: {what}", action=action)
    return action


def finish_action(ledger: Ledger, action: int, *, who: str, why: str = "") -> None:
    """Note that a corrective action is done; finishing it again changes nothing.

    :raises ArtifactNotFoundError: there is none of this number.
    """
    with ledger.begin() as connection:
        wanted = sa.select(corrective_actions).where(corrective_actions.c.id == action).with_for_update()
        found = connection.execute(wanted).first()
        if found is None:
            raise _unknown(action)
        if found.done_at is None:
            done = sa.update(corrective_actions).where(corrective_actions.c.id == action)
            connection.execute(done.values(done_at=sa.func.now()))
            said = f"done: {found.what}" + (f"; {why}" if why else "")
            record_deed(connection, lock_incident(connection, found.incident), "action", who, said, action=action)


def find_action(ledger: Ledger, action: int) -> CorrectiveActionReport:
    """Return a corrective action.

    :raises ArtifactNotFoundError: there is none of this number.
    """
    with ledger.begin() as connection:
        row = connection.execute(sa.select(*COLUMNS).where(corrective_actions.c.id == action)).mappings().first()
    if row is None:
        raise _unknown(action)
    return CorrectiveActionReport.model_validate(dict(row))


def list_open_actions(ledger: Ledger, projects: Sequence[str]) -> list[CorrectiveActionReport]:
    """Return what is still to be done after the incidents of some projects, resolved or not; the soonest due first."""
    mine = sa.select(*COLUMNS).join(incidents, incidents.c.id == corrective_actions.c.incident)
    open_ones = mine.where(incidents.c.project.in_(projects), corrective_actions.c.done_at.is_(None))
    with ledger.begin() as connection:
        rows = connection.execute(
            open_ones.order_by(corrective_actions.c.due.nulls_last(), corrective_actions.c.id)
        ).mappings()
        return [CorrectiveActionReport.model_validate(dict(row)) for row in rows]


def _unknown(action: int) -> ArtifactNotFoundError:
    return ArtifactNotFoundError(f"the ledger knows no corrective action {action}")
