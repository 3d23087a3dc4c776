"""Drift episodes: opened once however many windows confirm them, answered by one retraining request."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import DriftReport
from include.ledger.database import Ledger
from include.ledger.tables import episodes


def open_episode(ledger: Ledger, drift: DriftReport) -> int:
    """Open an episode for a project, or find the one that is not closed yet; return its number."""
    row = insert(episodes).values(project=drift.project, state="open", drift=drift.model_dump(mode="json"))
    # An update that changes nothing, because "do nothing" would not return the row that is already there.
    once = row.on_conflict_do_update(
        index_elements=[episodes.c.project],
        index_where=sa.text("state <> 'closed'"),
        set_={"project": row.excluded.project},
    )
    with ledger.begin() as connection:
        return int(connection.execute(once.returning(episodes.c.id)).scalar_one())


def find_open_episode(ledger: Ledger, project: str) -> tuple[int, DriftReport] | None:
    """Return the episode of a project that nobody has answered yet."""
    return _find(ledger, episodes.c.project == project, episodes.c.state == "open")


def find_unclosed_episode(ledger: Ledger, project: str) -> tuple[int, DriftReport] | None:
    """Return the episode of a project that is not over, answered or not."""
    return _find(ledger, episodes.c.project == project, episodes.c.state != "closed")


def answer_episode(ledger: Ledger, episode: int, run: str) -> bool:
    """Claim an open episode for the retraining request of one run; no other run ever gets True for it."""
    claimable = sa.or_(episodes.c.state == "open", episodes.c.answered_by == run)
    mine = sa.update(episodes).where(episodes.c.id == episode, episodes.c.state != "closed", claimable)
    with ledger.begin() as connection:
        return connection.execute(mine.values(state="requested", answered_by=run)).rowcount == 1


def close_episodes(ledger: Ledger, project: str) -> None:
    """Close what is open once a new model serves; drift seen from now on is a new episode."""
    unclosed = sa.update(episodes).where(episodes.c.project == project, episodes.c.state != "closed")
    with ledger.begin() as connection:
        connection.execute(unclosed.values(state="closed"))


def close_answered_episode(ledger: Ledger, project: str) -> None:
    """Close the episode whose retraining brought no better model; drift that goes on opens another."""
    answered = sa.and_(episodes.c.project == project, episodes.c.state == "requested")
    with ledger.begin() as connection:
        connection.execute(sa.update(episodes).where(answered).values(state="closed"))


def _find(ledger: Ledger, *conditions: sa.ColumnElement[bool]) -> tuple[int, DriftReport] | None:
    with ledger.begin() as connection:
        row = connection.execute(sa.select(episodes.c.id, episodes.c.drift).where(*conditions)).first()
    return (row.id, DriftReport.model_validate(row.drift)) if row else None
