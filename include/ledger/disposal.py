"""Which versions may be disposed of, and the moment from which one is."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from include.contracts import Digest, ModelVersionRef
from include.contracts.retirement import RetirementReport
from include.errors import ContractViolationError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.holds import require_not_held
from include.ledger.leases import Lease
from include.ledger.plans import require_out_of_service
from include.ledger.releases import list_releases_of
from include.ledger.tables import alias_moves, model_versions, retirements

# `candidate` only says which version was registered last.
IN_USE = ("champion", "previous")


def list_standing_versions(ledger: Ledger, project: str) -> list[tuple[ModelVersionRef, datetime]]:
    """Return the certified versions that are not retired, with the time they were recorded, newest version first."""
    table = model_versions.c
    retired = sa.select(retirements.c.version).where(retirements.c.project == project)
    query = sa.select(table.model_version, table.recorded_at).where(table.project == project)
    query = query.where(table.version.not_in(retired)).order_by(table.version.desc())
    with ledger.begin() as connection:
        rows = connection.execute(query).all()
    return [(ModelVersionRef.model_validate(version), when) for version, when in rows]


def list_idle_versions(ledger: Ledger, project: str, keep: int, days: int) -> list[ModelVersionRef]:
    """Return the versions that nothing needs any more, oldest first.

    :param keep: Newest versions that are left alone.
    :param days: Versions that were registered since are left alone, too.
    """
    limit = datetime.now(UTC) - timedelta(days=days)
    old = [version for version, when in list_standing_versions(ledger, project)[keep:] if when < limit]
    return [version for version in reversed(old) if _is_disposable(ledger, project, version.version)]


def require_disposable(ledger: Ledger, project: str, version: int) -> None:
    """Refuse to dispose of a version that is named, served or held.

    :raises ContractViolationError: it is champion, or the one before, or serves, or a person holds it.
    """
    with ledger.begin() as connection:
        require_out_of_service(connection, project, version)
        _require_unnamed(connection, project, version)
        require_not_held(connection, project, version)


def record_retirement(
    ledger: Ledger, version: ModelVersionRef, bundle: Digest, address: str, lease: Lease, who: str, why: str
) -> RetirementReport:
    """Put up the tombstone of a version: from now on it can be neither named nor served.

    :param bundle: Digest of the bundle that stays of it.
    :param lease: Of the retirement; an overtaken attempt is refused.
    :raises ContractViolationError: it is in use again, or held.
    """
    project, number = version.model.project, version.version
    with ledger.begin() as connection:
        lease.guard(connection)
        require_out_of_service(connection, project, number)
        facts = {"bundle": bundle, "model": version.model.key}
        # Whoever names or holds a version writes to the same chain: the second of the two sees the first.
        append_entry(connection, project, "retirement", f"version {number}", who=who, why=why, **facts)
        _require_unnamed(connection, project, number)
        require_not_held(connection, project, number)
        tombstone = RetirementReport(
            version=number,
            model_key=version.model.key,
            retired_by=who,
            reason=why,
            retired_at=datetime.now(UTC),
            bundle=bundle,
            address=address,
            releases=list_releases_of(connection, project, number),
        )
        document = tombstone.model_dump(mode="json")
        key = {"project": project, "version": number, "model_key": version.model.key}
        connection.execute(sa.insert(retirements).values(**key, retirement=document))
    return tombstone


def record_removal(ledger: Ledger, project: str, version: int) -> None:
    """Note that the last of a retired version's originals is gone."""
    mine = sa.and_(retirements.c.project == project, retirements.c.version == version)
    first = sa.and_(mine, retirements.c.removed_at.is_(None))
    with ledger.begin() as connection:
        connection.execute(sa.update(retirements).where(first).values(removed_at=sa.func.now()))


def _is_disposable(ledger: Ledger, project: str, version: int) -> bool:
    try:
        require_disposable(ledger, project, version)
    except ContractViolationError:
        return False
    return True


def _require_unnamed(connection: sa.Connection, project: str, version: int) -> None:
    moves = alias_moves.c
    newest = sa.select(moves.alias, moves.version).ext(distinct_on(moves.alias))
    newest = newest.where(moves.project == project, moves.alias.in_(IN_USE))
    now = connection.execute(newest.order_by(moves.alias, moves.sequence.desc())).all()
    names = [alias for alias, pointed in now if pointed == version]
    if names:
        raise ContractViolationError(
            f"version {version} of {project} is {' and '.join(names)}; promote and deploy another one before this one "
            "is retired"
        )
