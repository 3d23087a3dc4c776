"""Legal holds: while one stands, a version is not disposed of."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts.retirement import HoldReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.retirements import require_not_retired
from include.ledger.tables import holds, model_versions


def hold_version(ledger: Ledger, project: str, version: int, who: str, why: str) -> HoldReport:
    """Forbid the disposal of a version; a hold that stands already stays as it is, and is returned.

    :raises ArtifactNotFoundError: the project has no such version.
    :raises ContractViolationError: the version is retired already, or no reason was given.
    """
    _require_reason(why)
    hold = HoldReport(version=version, held_by=who, reason=why, held_at=datetime.now(UTC))
    row = insert(holds).values(project=project, version=version, hold=hold.model_dump(mode="json"))
    with ledger.begin() as connection:
        if connection.execute(row.on_conflict_do_nothing()).rowcount:
            append_entry(connection, project, "hold", f"version {version}", who=who, why=why, held=True)
        # Whoever retires a version writes to the same chain: one of the two comes second, and sees the other.
        _require_version(connection, project, version)
    return next(one for one in list_holds(ledger, project) if one.version == version)


def release_hold(ledger: Ledger, project: str, version: int, who: str, why: str) -> HoldReport:
    """Lift the hold of a version, and return it.

    :raises ArtifactNotFoundError: no hold stands.
    :raises ContractViolationError: no reason was given.
    """
    _require_reason(why)
    lift = sa.update(holds).where(_standing(project, version)).values(released_at=sa.func.now())
    with ledger.begin() as connection:
        lifted = connection.scalar(lift.returning(holds.c.hold))
        if lifted is None:
            raise ArtifactNotFoundError(f"no hold of version {version} of {project} stands; nothing was released")
        append_entry(connection, project, "hold", f"version {version}", who=who, why=why, held=False)
    return HoldReport.model_validate(lifted)


def list_holds(ledger: Ledger, project: str) -> list[HoldReport]:
    """Return every hold that stands, newest first."""
    query = sa.select(holds.c.hold).where(holds.c.project == project, holds.c.released_at.is_(None))
    with ledger.begin() as connection:
        return [HoldReport.model_validate(one) for one in connection.scalars(query.order_by(holds.c.id.desc()))]


def require_not_held(connection: sa.Connection, project: str, version: int) -> None:
    """Refuse to dispose of a version that is held.

    :raises ContractViolationError: somebody holds it.
    """
    found = connection.scalar(sa.select(holds.c.hold).where(_standing(project, version)))
    if found:
        hold = HoldReport.model_validate(found)
        raise ContractViolationError(
            f"version {version} of {project} is held by {hold.held_by} since {hold.held_at:%Y-%m-%d}: {hold.reason}; "
            "nothing of it is removed until `release-hold`"
        )


def _standing(project: str, version: int) -> sa.ColumnElement[bool]:
    return sa.and_(holds.c.project == project, holds.c.version == version, holds.c.released_at.is_(None))


def _require_reason(why: str) -> None:
    if not why.strip():
        raise ContractViolationError("a hold is set and lifted for a reason, which is kept; give one")


def _require_version(connection: sa.Connection, project: str, version: int) -> None:
    known = sa.and_(model_versions.c.project == project, model_versions.c.version == version)
    if connection.scalar(sa.select(model_versions.c.version).where(known)) is None:
        raise ArtifactNotFoundError(f"{project} has no certified version {version}")
    require_not_retired(connection, project, version)
