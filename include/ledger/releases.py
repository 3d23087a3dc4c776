"""Releases, the rollouts that put them into service, and which one serves."""

from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import Digest, ReleaseRef, RolloutRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.datasets import record_read
from include.ledger.retirements import require_not_retired
from include.ledger.tables import releases, rollouts, serving


def record_release(ledger: Ledger, release: ReleaseRef) -> None:
    """Record a packaged release, and that its dataset was read for it; recording it again changes nothing.

    :raises ContractViolationError: its version was retired.
    """
    project = release.model.model.project
    row = insert(releases).values(project=project, digest=release.digest, release=release.model_dump(mode="json"))
    with ledger.begin() as connection:
        _lock(connection, project)
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


def find_serving_releases(ledger: Ledger) -> dict[str, ReleaseRef]:
    """Return the release every project should be serving now, by project."""
    chosen = sa.select(releases.c.project, releases.c.release).join(
        serving, sa.and_(serving.c.project == releases.c.project, serving.c.release_digest == releases.c.digest)
    )
    with ledger.begin() as connection:
        return {project: ReleaseRef.model_validate(release) for project, release in connection.execute(chosen)}


def find_serving_rollouts(ledger: Ledger, project: str) -> list[RolloutRef]:
    """Return the rollouts that put into service what serves a project now, oldest first.

    Several where a release was rolled out again; none where the newest rollout was taken back.
    """
    up_to_now = sa.and_(serving.c.project == rollouts.c.project, serving.c.rollout >= rollouts.c.id)
    packaged = sa.and_(releases.c.project == rollouts.c.project, releases.c.digest == rollouts.c.release_digest)
    history = (
        sa.select(rollouts, releases.c.release, serving.c.rollout.label("now"), serving.c.release_digest.label("live"))
        .join_from(rollouts, serving, up_to_now)
        .join(releases, packaged)
        .where(rollouts.c.project == project, rollouts.c.state != "rolled_back")
        .order_by(rollouts.c.id.desc())
    )
    with ledger.begin() as connection:
        rows = connection.execute(history).all()
    if not rows or rows[0].id != rows[0].now:
        return []
    return [
        RolloutRef(id=row.id, release=ReleaseRef.model_validate(row.release), previous=row.previous_digest)
        for row in reversed(list(takewhile(lambda row: row.release_digest == row.live, rows)))
    ]


def start_rollout(ledger: Ledger, release: ReleaseRef, run: str) -> RolloutRef:
    """Make a release the one to serve, remembering what served before; the same run finds its rollout again.

    :raises ContractViolationError: its version was retired.
    """
    project = release.model.model.project
    with ledger.begin() as connection:
        _lock(connection, project)
        require_not_retired(connection, project, release.model.version)
        mine = connection.execute(
            sa.select(rollouts).where(
                rollouts.c.project == project, rollouts.c.release_digest == release.digest, rollouts.c.run == run
            )
        ).first()
        # A run that is cleared after its rollout was taken back tries again, under the same number.
        if mine is None or mine.state == "rolled_back":
            mine = _start(connection, release, run)
    return RolloutRef(id=mine.id, release=release, previous=mine.previous_digest)


def complete_rollout(ledger: Ledger, rollout: RolloutRef) -> None:
    """Close a rollout whose release proved healthy."""
    with ledger.begin() as connection:
        _close(connection, rollout, "completed", [], closable=["started"])


def revert_rollout(
    ledger: Ledger, rollout: RolloutRef, reasons: list[str], *, who: str | None = None, forced: bool = False
) -> None:
    """Return to the release that served before and close the rollout.

    A newer rollout that has taken over in the meantime is left in service, and will not return to this release.

    :param who: Run or person, for the audit chain: a rollout that had proved healthy only people take back.
    :param forced: Whether a person takes it back, healthy or not.
    """
    project = rollout.release.model.model.project
    with ledger.begin() as connection:
        _lock(connection, project)
        # Not what is in the reference: what served before may have been rolled back itself since.
        found = (
            sa.select(rollouts.c.state, rollouts.c.previous_digest).where(rollouts.c.id == rollout.id).with_for_update()
        )
        state, previous = connection.execute(found).first() or (None, None)
        if not _close(connection, rollout, "rolled_back", reasons, closable=["started", "completed"]):
            return
        if forced or state == "completed":
            facts = {"rollout": rollout.id, "release": rollout.release.digest, "returned_to": previous}
            subject = f"rollout of version {rollout.release.model.version}"
            append_entry(connection, project, "override", subject, who=who, why="; ".join(reasons), **facts)
        mine = sa.and_(serving.c.project == project, serving.c.rollout == rollout.id)
        if previous is None:
            connection.execute(sa.delete(serving).where(mine))
        else:
            connection.execute(sa.update(serving).where(mine).values(release_digest=previous))
        later = sa.and_(rollouts.c.project == project, rollouts.c.id > rollout.id)
        returning_here = sa.and_(later, rollouts.c.previous_digest == rollout.release.digest)
        connection.execute(sa.update(rollouts).where(returning_here).values(previous_digest=previous))


def list_releases_of(connection: sa.Connection, project: str, version: int) -> tuple[Digest, ...]:
    """Return the digests of every release that was packaged of a version."""
    packaged = releases.c.release["model"]["version"].as_integer() == version
    query = sa.select(releases.c.digest).where(releases.c.project == project, packaged).order_by(releases.c.digest)
    return tuple(connection.scalars(query))


def require_out_of_service(connection: sa.Connection, project: str, version: int) -> None:
    """Refuse a version that serves, or that a rollback would return to; until the transaction ends, none can.

    :raises ContractViolationError: it is in service.
    """
    _lock(connection, project)
    live = connection.scalar(sa.select(serving.c.release_digest).where(serving.c.project == project))
    before = sa.select(rollouts.c.previous_digest).where(
        rollouts.c.project == project, rollouts.c.release_digest == live, rollouts.c.state != "rolled_back"
    )
    needed = {live, *connection.scalars(before)}.intersection(list_releases_of(connection, project, version))
    if needed:
        raise ContractViolationError(
            f"version {version} of {project} is in service, or next after a rollback, as {', '.join(sorted(needed))}; "
            "deploy another version before this one is retired"
        )


def _start(connection: sa.Connection, release: ReleaseRef, run: str) -> sa.Row[Any]:
    project = release.model.model.project
    previous = connection.scalar(sa.select(serving.c.release_digest).where(serving.c.project == project))
    state: dict[str, Any] = {"previous_digest": previous, "state": "started", "reasons": []}
    row = insert(rollouts).values(project=project, release_digest=release.digest, run=run, **state)
    key = [rollouts.c.project, rollouts.c.release_digest, rollouts.c.run]
    started = connection.execute(row.on_conflict_do_update(index_elements=key, set_=state).returning(rollouts)).one()
    _serve(connection, project, release.digest, started.id)
    return started


def _serve(connection: sa.Connection, project: str, digest: str, rollout: int) -> None:
    row = insert(serving).values(project=project, release_digest=digest, rollout=rollout)
    chosen = {"release_digest": digest, "rollout": rollout, "recorded_at": sa.func.now()}
    connection.execute(row.on_conflict_do_update(index_elements=[serving.c.project], set_=chosen))


def _lock(connection: sa.Connection, project: str) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{project}/serving"))))


def _close(
    connection: sa.Connection, rollout: RolloutRef, state: str, reasons: list[str], *, closable: list[str]
) -> bool:
    mine = sa.and_(rollouts.c.id == rollout.id, rollouts.c.state.in_(closable))
    return connection.execute(sa.update(rollouts).where(mine).values(state=state, reasons=reasons)).rowcount == 1
