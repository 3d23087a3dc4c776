"""Trainings that were asked for: one for each occasion, within a budget, and never two under way at once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from include.contracts import RetrainingRequest
from include.ledger.database import Ledger
from include.ledger.episodes import claim_episode, reopen_episode
from include.ledger.tables import retrainings
from include.project import RetrainingPolicy

# An event that starts no run within a day was lost with the scheduler that should have seen it.
BEGINS_WITHIN = timedelta(days=1)
ENDS_WITHIN = timedelta(days=7)
BUDGET_DAYS = timedelta(days=30)
UNASKED = ("new_data", "demand")

# Not the transaction's own time: it began before its turn came.
NOW = sa.func.clock_timestamp()
_trigger = retrainings.c.request["trigger"].as_string()


@dataclass(frozen=True)
class Refusal:
    """Why a training has to wait.

    :ivar spent: The budget is spent: nothing follows unless a person acts.
    """

    why: str
    spent: bool = False


@dataclass(frozen=True)
class Retraining:
    """One training, from being asked for to its outcome.

    :ivar run: The run that trains; none before it begins.
    """

    id: int
    occasion: str
    request: RetrainingRequest
    asked_by: str
    run: str | None
    asked_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    outcome: str


def ask_retraining(
    ledger: Ledger, request: RetrainingRequest, *, occasion: str, asked_by: str, policy: RetrainingPolicy
) -> Refusal | None:
    """Ask for one training; return why it has to wait, or None where it was granted.

    The same run is granted its occasion again, because it may have died before it told, until a training has begun
    that it told of. The episode that a request
    answers is claimed in the same transaction.
    """
    with ledger.begin() as connection:
        _lock(connection, request.project)
        row = _find(connection, request.project, retrainings.c.occasion == occasion)
        if row is not None:
            if row.asked_by == asked_by and row.run is None:
                return None
            return Refusal(f"{occasion} was answered by {row.asked_by} already")
        refusal = _refuse(connection, request.project, policy)
        if refusal:
            return refusal
        if request.episode is not None and not claim_episode(connection, request.episode, asked_by):
            return Refusal(f"{occasion} was answered by another run, or is over")
        _insert(connection, request, occasion, asked_by)
    return None


def begin_retraining(ledger: Ledger, request: RetrainingRequest, *, occasion: str, run: str) -> None:
    """Record that a run trains. What another run began and did not end is given up: Airflow lets one run at a time."""
    with ledger.begin() as connection:
        _lock(connection, request.project)
        row = _find(connection, request.project, retrainings.c.occasion == occasion)
        number = row.id if row else _insert(connection, request, occasion, run)
        begun = sa.and_(_unended(request.project), retrainings.c.run.is_not(None), retrainings.c.run != run)
        _end(connection, begun, f"given up: {run} began after it")
        mine = sa.update(retrainings).where(retrainings.c.id == number)
        connection.execute(mine.values(run=run, began_at=NOW, ended_at=None, outcome=""))


def end_retraining(ledger: Ledger, project: str, run: str, outcome: str) -> list[RetrainingRequest]:
    """Free the way for the next training; return the requests that this run has ended."""
    with ledger.begin() as connection:
        return _end(connection, sa.and_(_unended(project), retrainings.c.run == run), outcome)


def reclaim_lost(ledger: Ledger, project: str) -> list[str]:
    """Give up requests that started no run within a day, or whose run never told its end within a week.

    Their episodes are open again; their occasions are returned.
    """
    unbegun = sa.and_(retrainings.c.run.is_(None), retrainings.c.recorded_at < NOW - BEGINS_WITHIN)
    late = sa.and_(_unended(project), sa.or_(unbegun, retrainings.c.began_at < NOW - ENDS_WITHIN))
    given_up = sa.update(retrainings).where(late)
    values = {"lost": True, "ended_at": NOW, "outcome": "lost: no run began it, or told its end"}
    with ledger.begin() as connection:
        _lock(connection, project)
        lost = connection.execute(given_up.values(**values).returning(retrainings.c.occasion, retrainings.c.request))
        occasions = []
        for occasion, request in lost.all():
            occasions.append(str(occasion))
            if request["episode"] is not None:
                reopen_episode(connection, request["episode"])
    return occasions


def list_retrainings(ledger: Ledger, project: str, limit: int = 100) -> list[Retraining]:
    """Return the trainings of a project, newest first."""
    names = ("id", "occasion", "request", "asked_by", "run", "recorded_at", "began_at", "ended_at", "outcome")
    query = sa.select(*(retrainings.c[name] for name in names)).where(retrainings.c.project == project)
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(retrainings.c.id.desc()).limit(limit)).all()
    return [Retraining(row[0], row[1], RetrainingRequest.model_validate(row[2]), *row[3:]) for row in rows]


def find_last_end(ledger: Ledger, project: str) -> datetime | None:
    """Return when the newest training of a project ended."""
    with ledger.begin() as connection:
        return _find_last_end(connection, project)


def _refuse(connection: sa.Connection, project: str, policy: RetrainingPolicy) -> Refusal | None:
    """Say why no further training may be asked for now: one is under way, it is too soon, or the budget is spent."""
    running = _find(connection, project, retrainings.c.ended_at.is_(None))
    if running is not None:
        return Refusal(f"the training for {running.occasion} is under way; the next one waits for its end")
    now = connection.execute(sa.select(NOW)).scalar_one()
    last, pause = _find_last_end(connection, project), timedelta(minutes=policy.cool_down_minutes)
    if last and now < last + pause:
        due = f"{(last + pause).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return Refusal(
            f"the last training ended less than {policy.cool_down_minutes} minutes ago; the next waits until {due}"
        )
    recent = sa.and_(
        retrainings.c.project == project,
        retrainings.c.recorded_at > now - BUDGET_DAYS,
        ~retrainings.c.lost,
        _trigger.not_in(UNASKED),
    )
    asked = connection.execute(sa.select(sa.func.count()).select_from(retrainings).where(recent)).scalar_one()
    if asked >= policy.per_30_days:
        why = (
            f"the budget of {policy.per_30_days} trainings in 30 days is spent; raise it, or start train_model by hand"
        )
        return Refusal(why, spent=True)
    return None


def _lock(connection: sa.Connection, project: str) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{project}/retraining", 0))))


def _find(connection: sa.Connection, project: str, which: sa.ColumnElement[bool]) -> sa.Row[tuple[object, ...]] | None:
    kept = sa.and_(retrainings.c.project == project, ~retrainings.c.lost, which)
    return connection.execute(sa.select(retrainings).where(kept).order_by(retrainings.c.id.desc()).limit(1)).first()


def _find_last_end(connection: sa.Connection, project: str) -> datetime | None:
    query = sa.select(sa.func.max(retrainings.c.ended_at)).where(retrainings.c.project == project, ~retrainings.c.lost)
    ended: datetime | None = connection.execute(query).scalar_one()
    return ended


def _insert(connection: sa.Connection, request: RetrainingRequest, occasion: str, asked_by: str) -> int:
    values = {"project": request.project, "occasion": occasion, "asked_by": asked_by, "recorded_at": NOW}
    row = sa.insert(retrainings).values(request=request.model_dump(mode="json"), **values)
    return int(connection.execute(row.returning(retrainings.c.id)).scalar_one())


def _unended(project: str) -> sa.ColumnElement[bool]:
    return sa.and_(retrainings.c.project == project, retrainings.c.ended_at.is_(None))


def _end(connection: sa.Connection, which: sa.ColumnElement[bool], outcome: str) -> list[RetrainingRequest]:
    over = sa.update(retrainings).where(which).values(ended_at=NOW, outcome=outcome)
    ended = connection.scalars(over.returning(retrainings.c.request))
    return [RetrainingRequest.model_validate(request) for request in ended]
