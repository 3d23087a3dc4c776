"""Rollouts: attempts to put a release into service, step by step, each with the plan that the step asks for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import ReleasePlan, ReleaseRef, RolloutRef, RolloutReport, Strategy
from include.errors import ArtifactNotFoundError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.plans import ALONE, append_plan, change_plan, crown, find_predecessor, newest_plan, withdraw_release
from include.ledger.releases import lock_service
from include.ledger.retirements import require_not_retired
from include.ledger.tables import releases, rollouts
from include.ledger.troubles import report_rollback

STARTED, COMPLETED, ROLLED_BACK = "started", "completed", "rolled_back"


class RolloutRecord(NamedTuple):
    """A rollout as the ledger knows it."""

    rollout: RolloutRef
    state: str
    step: int
    policy: dict[str, Any]
    report: RolloutReport | None
    reasons: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None


def start_rollout(
    ledger: Ledger, release: ReleaseRef, run: str, strategy: Strategy, policy: dict[str, Any]
) -> RolloutRef:
    """Let the serving processes load a release beside the champion; the same run finds its rollout again.

    The first release of a project becomes champion at once: there is nothing to compare it with. A rollout under way
    is superseded.

    :param policy: The project's deployment policy as JSON; it holds until the rollout ends.
    :raises ContractViolationError: its version was retired.
    """
    project = release.model.model.project
    with ledger.begin() as connection:
        lock_service(connection, project)
        require_not_retired(connection, project, release.model.version)
        mine = connection.execute(
            sa.select(rollouts).where(
                rollouts.c.project == project, rollouts.c.release_digest == release.digest, rollouts.c.run == run
            )
        ).first()
        # A run that is cleared after its rollout was taken back tries again, under the same number.
        if mine is None or mine.state == ROLLED_BACK:
            mine = _start(connection, release, run, strategy, policy)
    return RolloutRef(id=mine.id, release=release, previous=mine.previous_digest, strategy=mine.strategy)


def find_rollout(ledger: Ledger, number: int) -> RolloutRecord:
    """Return a rollout.

    :raises ArtifactNotFoundError: there is none of this number.
    """
    with ledger.begin() as connection:
        row = connection.execute(_select().where(rollouts.c.id == number)).first()
    if row is None:
        raise ArtifactNotFoundError(f"the ledger knows no rollout {number}")
    return _read(row)


def list_rollouts(ledger: Ledger, project: str, limit: int = 50) -> list[RolloutRecord]:
    """Return a project's newest rollouts, newest first."""
    newest = _select().where(rollouts.c.project == project).order_by(rollouts.c.id.desc()).limit(limit)
    with ledger.begin() as connection:
        return [_read(row) for row in connection.execute(newest)]


def advance_rollout(
    ledger: Ledger, rollout: RolloutRef, step: int, change: Callable[[ReleasePlan], ReleasePlan], why: str
) -> bool:
    """Go from one step to the next, and to its plan, in one transaction; False if somebody was there before.

    :param step: The step to leave.
    :param change: Makes the next step's plan of the newest one.
    """
    project = rollout.release.model.model.project
    here = sa.and_(rollouts.c.id == rollout.id, rollouts.c.state == STARTED, rollouts.c.step == step)
    with ledger.begin() as connection:
        lock_service(connection, project)
        if connection.execute(sa.update(rollouts).where(here).values(step=step + 1)).rowcount == 0:
            return False
        change_plan(connection, project, change, why)
    return True


def record_report(ledger: Ledger, report: RolloutReport) -> None:
    """Keep the judge's newest report of a rollout under way."""
    mine = sa.and_(rollouts.c.id == report.rollout.id, rollouts.c.state == STARTED)
    with ledger.begin() as connection:
        connection.execute(sa.update(rollouts).where(mine).values(report=report.model_dump(mode="json")))


def complete_rollout(ledger: Ledger, rollout: RolloutRef) -> None:
    """Make a release that proved itself the champion, and close its rollout; what answered before is held ready."""
    project = rollout.release.model.model.project
    with ledger.begin() as connection:
        lock_service(connection, project)
        if _close(connection, rollout, COMPLETED, [], {STARTED}) is not None:
            change_plan(
                connection, project, lambda plan: crown(plan, rollout.release), f"rollout {rollout.id} is complete"
            )


def revert_rollout(
    ledger: Ledger,
    rollout: RolloutRef,
    reasons: list[str],
    *,
    who: str | None = None,
    forced: bool = False,
    under_way: bool = False,
) -> None:
    """Take a rollout back: the release that answered before answers again; a newer rollout is left alone.

    :param who: Run or person, for the audit chain: a rollout that had proved healthy only people take back.
    :param forced: Whether it is on the audit chain although the rollout had not proved healthy.
    :param under_way: Whether to leave it alone once it is complete: a verdict that comes too late changes nothing.
        Nobody asked for it, so that it opens an incident.
    """
    project = rollout.release.model.model.project
    with ledger.begin() as connection:
        lock_service(connection, project)
        state = _close(connection, rollout, ROLLED_BACK, reasons, {STARTED} if under_way else {STARTED, COMPLETED})
        if state is None:
            return
        plan = newest_plan(connection, project)
        if plan and _is_newest_of_its_release(connection, project, rollout):
            withdraw_release(connection, plan, rollout.release, f"rollout {rollout.id} was taken back")
        if under_way:
            report_rollback(connection, rollout, reasons, who)
        if forced or state == COMPLETED:
            facts = {"rollout": rollout.id, "release": rollout.release.digest, "returned_to": rollout.previous}
            subject = f"rollout of version {rollout.release.model.version}"
            append_entry(connection, project, "override", subject, who=who, why="; ".join(reasons), **facts)


def switch_release(ledger: Ledger, project: str, release: ReleaseRef, *, who: str | None, why: str) -> ReleasePlan:
    """Let a release that answered before answer again, at once, whatever is under way; on the audit chain.

    :raises ContractViolationError: nothing is in service, or its version was retired.
    """
    with ledger.begin() as connection:
        lock_service(connection, project)
        require_not_retired(connection, project, release.model.version)
        plan = newest_plan(connection, project)
        _end_rollouts(connection, project, f"ended by a switch: {why}")
        # Not the release that is left: somebody had a reason to leave it, and it must not answer where this one fails.
        before = find_predecessor(connection, project, release)
        answering = {**ALONE, "champion": release, "previous": before}
        changed = change_plan(connection, project, lambda plan: plan.model_copy(update=answering), why)
        if plan and changed.champion != plan.champion:
            facts = {"release": release.digest, "left": plan.champion.digest}
            append_entry(
                connection, project, "override", f"switch to version {release.model.version}", who=who, why=why, **facts
            )
    return changed


def _start(
    connection: sa.Connection, release: ReleaseRef, run: str, strategy: Strategy, policy: dict[str, Any]
) -> sa.Row[Any]:
    project = release.model.model.project
    _end_rollouts(connection, project, "superseded by a newer rollout")
    plan = newest_plan(connection, project)
    before = plan.champion if plan else None
    if before == release:
        before = plan.previous if plan else None
    state: dict[str, Any] = {
        "previous_digest": before.digest if before else None, "strategy": strategy if plan else "direct",
        "policy": policy, "state": STARTED, "step": 0, "report": None, "reasons": [], "ended_at": None,
        "recorded_at": sa.func.now(),
    }  # fmt: skip
    row = insert(rollouts).values(project=project, release_digest=release.digest, run=run, **state)
    key = [rollouts.c.project, rollouts.c.release_digest, rollouts.c.run]
    started = connection.execute(row.on_conflict_do_update(index_elements=key, set_=state).returning(rollouts)).one()
    shared = {"rollout": started.id, "recording": policy.get("recording", {})}
    if plan is None:
        made = ReleasePlan(project=project, revision=1, champion=release, **shared)
    else:
        held = {"candidate": None if plan.champion == release else release, "weight": 0.0, "shadow": 0.0}
        made = ReleasePlan.model_validate(plan.model_dump() | held | shared | {"sticky": False})
    append_plan(connection, made, f"rollout {started.id} of version {release.model.version} begins: {started.strategy}")
    return started


def _end_rollouts(connection: sa.Connection, project: str, reason: str) -> None:
    """Take back whatever is under way."""
    under_way = _select().where(rollouts.c.project == project, rollouts.c.state == STARTED)
    for row in connection.execute(under_way).all():
        rollout, plan = _read(row).rollout, newest_plan(connection, project)
        _close(connection, rollout, ROLLED_BACK, [reason], {STARTED})
        # The first release of a project answers until another one can.
        if plan and (plan.previous or plan.champion.digest != rollout.release.digest):
            withdraw_release(connection, plan, rollout.release, f"rollout {rollout.id} was taken back")


def _is_newest_of_its_release(connection: sa.Connection, project: str, rollout: RolloutRef) -> bool:
    """Whether no later rollout has put the same release into service again."""
    again = sa.select(rollouts.c.id).where(
        rollouts.c.project == project,
        rollouts.c.release_digest == rollout.release.digest,
        rollouts.c.id > rollout.id,
        rollouts.c.state != ROLLED_BACK,
    )
    return connection.scalar(again.limit(1)) is None


def _close(
    connection: sa.Connection, rollout: RolloutRef, state: str, reasons: list[str], open_states: set[str]
) -> str | None:
    """Close a rollout that is in one of some states; return which, or None if it is in another."""
    found = connection.scalar(sa.select(rollouts.c.state).where(rollouts.c.id == rollout.id).with_for_update())
    if found not in open_states:
        return None
    ended = {"state": state, "reasons": reasons, "ended_at": sa.func.now()}
    connection.execute(sa.update(rollouts).where(rollouts.c.id == rollout.id).values(ended))
    return str(found)


def _select() -> sa.Select[Any]:
    packaged = sa.and_(releases.c.project == rollouts.c.project, releases.c.digest == rollouts.c.release_digest)
    return sa.select(rollouts, releases.c.release).join(releases, packaged)


def _read(row: sa.Row[Any]) -> RolloutRecord:
    rollout = RolloutRef(
        id=row.id,
        release=ReleaseRef.model_validate(row.release),
        previous=row.previous_digest,
        strategy=row.strategy,
    )
    report = None if row.report is None else RolloutReport.model_validate(row.report)
    return RolloutRecord(
        rollout, row.state, row.step, row.policy, report, tuple(row.reasons), row.recorded_at, row.ended_at
    )
