"""The tombstones of retired versions: who disposed of them and why, and the bundle that is left."""

import sqlalchemy as sa

from include.contracts.retirement import RetirementReport
from include.errors import ContractViolationError
from include.ledger.database import Ledger
from include.ledger.tables import retirements


def list_retirements(ledger: Ledger, project: str) -> list[RetirementReport]:
    """Return the tombstone of every retired version, newest version first."""
    query = sa.select(retirements.c.retirement, retirements.c.removed_at).where(retirements.c.project == project)
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(retirements.c.version.desc())).all()
    return [RetirementReport.model_validate(tombstone | {"removed_at": when}) for tombstone, when in rows]


def find_retirement(ledger: Ledger, project: str, version: int) -> RetirementReport | None:
    """Return the tombstone of a version."""
    return next((one for one in list_retirements(ledger, project) if one.version == version), None)


def is_retired(connection: sa.Connection, project: str, version: int) -> bool:
    """Whether a version was disposed of."""
    wanted = sa.select(retirements.c.version).where(retirements.c.project == project, retirements.c.version == version)
    return connection.scalar(wanted) is not None


def require_not_retired(connection: sa.Connection, project: str, version: int) -> None:
    """Refuse to use a version that was disposed of.

    :raises ContractViolationError: it is retired.
    """
    wanted = sa.and_(retirements.c.project == project, retirements.c.version == version)
    found = connection.scalar(sa.select(retirements.c.retirement).where(wanted))
    if found:
        tombstone = RetirementReport.model_validate(found)
        raise ContractViolationError(
            f"version {version} of {project} was retired by {tombstone.retired_by} on {tombstone.retired_at:%Y-%m-%d}: "
            f"{tombstone.reason}; only its bundle, {tombstone.address}, is left. Train a new model instead"
        )
