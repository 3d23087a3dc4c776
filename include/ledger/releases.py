"""Releases: every bundle that was ever packaged."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import Digest, ReleaseRef
from include.errors import ArtifactNotFoundError
from include.ledger.database import Ledger
from include.ledger.datasets import record_read
from include.ledger.retirements import require_not_retired
from include.ledger.tables import releases


def record_release(ledger: Ledger, release: ReleaseRef) -> None:
    """Record a packaged release, and that its dataset was read for it; recording it again changes nothing.

    :raises ContractViolationError: its version was retired.
    """
    project = release.model.model.project
    row = insert(releases).values(project=project, digest=release.digest, release=release.model_dump(mode="json"))
    with ledger.begin() as connection:
        lock_service(connection, project)
        require_not_retired(connection, project, release.model.version)
        connection.execute(row.on_conflict_do_nothing())
    record_read(ledger, release.model.model.dataset, "package", f"run {release.model.model.run_id}")


def find_release(ledger: Ledger, project: str, digest: str) -> ReleaseRef:
    """Return a recorded release."""
    wanted = sa.select(releases.c.release).where(releases.c.project == project, releases.c.digest == digest)
    with ledger.begin() as connection:
        row = connection.scalar(wanted)
    if row is None:
        raise ArtifactNotFoundError(f"{project} has no release {digest}; package the model version first")
    return ReleaseRef.model_validate(row)


def find_release_of(ledger: Ledger, project: str, version: int) -> ReleaseRef:
    """Return the release of a model version that was packaged last.

    :raises ArtifactNotFoundError: none was.
    """
    packaged = releases.c.release["model"]["version"].as_integer() == version
    newest = sa.select(releases.c.release).where(releases.c.project == project, packaged)
    with ledger.begin() as connection:
        row = connection.scalar(newest.order_by(releases.c.recorded_at.desc()).limit(1))
    if row is None:
        raise ArtifactNotFoundError(f"{project} has no release of version {version}; name one that was deployed")
    return ReleaseRef.model_validate(row)


def list_releases_of(connection: sa.Connection, project: str, version: int) -> tuple[Digest, ...]:
    """Return the digests of every release that was packaged of a version."""
    packaged = releases.c.release["model"]["version"].as_integer() == version
    query = sa.select(releases.c.digest).where(releases.c.project == project, packaged).order_by(releases.c.digest)
    return tuple(connection.scalars(query))


def lock_service(connection: sa.Connection, project: str) -> None:
    """Let nobody else change what serves a project, or may, until the transaction ends."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{project}/serving"))))
