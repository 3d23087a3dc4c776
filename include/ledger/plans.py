"""Release plans: who answers a project's requests, revision by revision, and the processes that follow them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from include.contracts import ReleasePlan, ReleaseRef, ReplicaReport
from include.errors import ContractViolationError
from include.ledger.database import Ledger
from include.ledger.releases import list_releases_of, lock_service
from include.ledger.retirements import is_retired
from include.ledger.tables import release_plans, replicas

# A serving process reports once a second; one that has been silent for so long counts as gone.
ALIVE_SECONDS = 5.0
# A plan in which nothing is under way.
ALONE = {"candidate": None, "weight": 0.0, "shadow": 0.0, "sticky": False}


class PlanRevision(NamedTuple):
    """One plan, and why it was made; without a plan, nothing was in service."""

    revision: int
    plan: ReleasePlan | None
    why: str
    at: datetime


def find_plans(ledger: Ledger) -> dict[str, ReleasePlan]:
    """Return the newest plan of every project that has one, by project."""
    newest = (
        sa.select(release_plans.c.project, release_plans.c.plan)
        .ext(distinct_on(release_plans.c.project))
        .order_by(release_plans.c.project, release_plans.c.revision.desc())
    )
    with ledger.begin() as connection:
        rows = connection.execute(newest).all()
    return {project: ReleasePlan.model_validate(plan) for project, plan in rows if plan is not None}


def find_plan(ledger: Ledger, project: str) -> ReleasePlan | None:
    """Return the newest plan of a project."""
    with ledger.begin() as connection:
        return newest_plan(connection, project)


def list_plans(ledger: Ledger, project: str, limit: int = 100) -> list[PlanRevision]:
    """Return a project's newest plans, newest first."""
    history = (
        sa.select(release_plans)
        .where(release_plans.c.project == project)
        .order_by(release_plans.c.revision.desc())
        .limit(limit)
    )
    with ledger.begin() as connection:
        rows = connection.execute(history).all()
    return [
        PlanRevision(row.revision, row.plan and ReleasePlan.model_validate(row.plan), row.why, row.recorded_at)
        for row in rows
    ]


def newest_plan(connection: sa.Connection, project: str) -> ReleasePlan | None:
    """Return the newest plan of a project within a transaction."""
    newest = (
        sa.select(release_plans.c.plan)
        .where(release_plans.c.project == project)
        .order_by(release_plans.c.revision.desc())
        .limit(1)
    )
    plan = connection.scalar(newest)
    return None if plan is None else ReleasePlan.model_validate(plan)


def append_plan(connection: sa.Connection, plan: ReleasePlan, why: str) -> ReleasePlan:
    """Make a plan the newest, whatever revision it had; the caller holds `lock_service`."""
    made = plan.model_copy(update={"revision": _next_revision(connection, plan.project)})
    _append(connection, made.project, made.revision, made.model_dump(mode="json"), why)
    return made


def end_service(connection: sa.Connection, project: str, why: str) -> None:
    """Leave a project without a release in service; the caller holds `lock_service`."""
    _append(connection, project, _next_revision(connection, project), None, why)


def change_plan(
    connection: sa.Connection, project: str, change: Callable[[ReleasePlan], ReleasePlan], why: str
) -> ReleasePlan:
    """Append what a change makes of the newest plan; a change that changes nothing appends nothing.

    :raises ContractViolationError: nothing is in service.
    """
    lock_service(connection, project)
    before = newest_plan(connection, project)
    if before is None:
        raise ContractViolationError(f"{project} has nothing in service; run {project}.deploy_model first")
    after = change(before)
    return before if after == before else append_plan(connection, after, why)


def crown(plan: ReleasePlan, release: ReleaseRef) -> ReleasePlan:
    """Return the plan in which a release answers everything, and the champion before it is held ready."""
    before = plan.previous if plan.champion == release else plan.champion
    return plan.model_copy(update={**ALONE, "champion": release, "previous": before})


def withdraw_release(connection: sa.Connection, plan: ReleasePlan, release: ReleaseRef, why: str) -> None:
    """Append the newest plan without a release, wherever it stands; the caller holds `lock_service`."""
    if plan.candidate == release:
        append_plan(connection, plan.model_copy(update=ALONE), why)
    elif plan.champion == release and plan.previous:
        before = find_predecessor(connection, plan.project, plan.previous)
        spared = {} if plan.candidate else ALONE
        changed = {**spared, "champion": plan.previous, "previous": None if before == release else before}
        append_plan(connection, plan.model_copy(update=changed), why)
    elif plan.champion == release:
        end_service(connection, plan.project, why)
    elif plan.previous == release:
        append_plan(connection, plan.model_copy(update={"previous": None}), why)


def find_predecessor(connection: sa.Connection, project: str, champion: ReleaseRef) -> ReleaseRef | None:
    """Return what was held ready the last time this release was champion, unless it was retired since."""
    plan = release_plans.c.plan
    mine = plan["champion"]["digest"].as_string() == champion.digest
    found = _newest_where(connection, project, sa.and_(mine, plan["previous"]["digest"].as_string().is_not(None)))
    if found is None or found.previous is None or is_retired(connection, project, found.previous.model.version):
        return None
    return found.previous


def require_out_of_service(connection: sa.Connection, project: str, version: int) -> None:
    """Refuse a version that serves, or that a rollback would return to; until the transaction ends, none can.

    :raises ContractViolationError: it is in service.
    """
    lock_service(connection, project)
    plan = newest_plan(connection, project)
    held = {release.digest for release in plan.releases} if plan else set()
    needed = held.intersection(list_releases_of(connection, project, version))
    if needed:
        raise ContractViolationError(
            f"version {version} of {project} is in service, or next after a rollback, as {', '.join(sorted(needed))}; "
            "deploy another version before this one is retired"
        )


def record_replica(ledger: Ledger, report: ReplicaReport) -> None:
    """Record what a serving process does, and that it lives."""
    values = {"report": report.model_dump(mode="json"), "seen_at": sa.func.now()}
    row = insert(replicas).values(name=report.name, **values)
    with ledger.begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=[replicas.c.name], set_=values))
        connection.execute(sa.delete(replicas).where(replicas.c.seen_at < sa.func.now() - timedelta(hours=1)))


def remove_replica(ledger: Ledger, name: str) -> None:
    """Record that a serving process has ended in good order."""
    with ledger.begin() as connection:
        connection.execute(sa.delete(replicas).where(replicas.c.name == name))


def list_replicas(ledger: Ledger, alive_seconds: float = ALIVE_SECONDS) -> list[ReplicaReport]:
    """Return the serving processes that reported lately, by name."""
    alive = replicas.c.seen_at > sa.func.now() - timedelta(seconds=alive_seconds)
    with ledger.begin() as connection:
        rows = connection.scalars(sa.select(replicas.c.report).where(alive).order_by(replicas.c.name))
        return [ReplicaReport.model_validate(row) for row in rows]


def _append(connection: sa.Connection, project: str, revision: int, plan: dict[str, Any] | None, why: str) -> None:
    values = {"plan": sa.null() if plan is None else plan, "why": why}
    connection.execute(sa.insert(release_plans).values(project=project, revision=revision, **values))


def _next_revision(connection: sa.Connection, project: str) -> int:
    newest = sa.select(sa.func.max(release_plans.c.revision)).where(release_plans.c.project == project)
    return int(connection.scalar(newest) or 0) + 1


def _newest_where(connection: sa.Connection, project: str, condition: sa.ColumnElement[bool]) -> ReleasePlan | None:
    found = connection.scalar(
        sa.select(release_plans.c.plan)
        .where(release_plans.c.project == project, release_plans.c.plan.is_not(None), condition)
        .order_by(release_plans.c.revision.desc())
        .limit(1)
    )
    return None if found is None else ReleasePlan.model_validate(found)
