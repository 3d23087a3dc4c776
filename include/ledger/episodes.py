"""Episodes in which the world differs: opened once however many windows confirm them, answered once, closed."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert

from include.contracts import ActionDecision, DiagnosisReport, DriftReport, EpisodeReport, PerformanceReport
from include.errors import ArtifactNotFoundError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.incidents import resolve_key
from include.ledger.tables import episode_windows, episodes

Evidence = DriftReport | PerformanceReport
# Key of the incident of slices that the model in service serves worse than the one certified.
UNFAIR = "unfair slices"

# Whether a training answers it; of old episodes nobody kept a decision.
_trained = sa.func.coalesce(episodes.c.decision["action"].as_string(), "retrain") == "retrain"


def open_episode(ledger: Ledger, found: Evidence, *, missed: bool = False) -> int:
    """Open an episode for a window that differs, or let it confirm the one not closed yet; return its number.

    The same window counts once, whatever it shows: drift, worse answers, or both. Looked at again once its episode is
    over, it opens no other. An answer without a training is taken back when labels first show worse answers.

    :param missed: An objective is missed, whatever this window alone shows.
    """
    kind = "drift" if isinstance(found, DriftReport) else "performance"
    trigger = "objective" if missed else "drift" if kind == "drift" else "degradation"
    evidence = {kind: found.model_dump(mode="json")}
    row = insert(episodes).values(project=found.project, state="open", trigger=trigger, **evidence)
    once = row.on_conflict_do_update(
        index_elements=[episodes.c.project],
        index_where=sa.text("state <> 'closed'"),
        set_=_confirm(row, kind, missed=missed),
    )
    with ledger.begin() as connection:
        over = connection.scalar(_find_closed(found, missed=missed))
        if over is not None:
            return int(over)
        episode = int(connection.execute(once.returning(episodes.c.id)).scalar_one())
        _count_window(connection, episode, found, confirms=True)
    return episode


def calm_episode(ledger: Ledger, found: Evidence, *, needed: int) -> int | None:
    """Count a stable window against the episode that its kind of evidence opened; return the number once it is over.

    Evidence begins anew after an alarm, so that drift may be there and not show: a window counts only if it, and those
    before, speak for health.

    :param needed: Stable windows in a row that end an episode, its newest ones.
    """
    if isinstance(found, DriftReport) and any(one.residue >= 1 for one in found.features):
        return None
    trigger = "drift" if isinstance(found, DriftReport) else "degradation"
    mine = (episodes.c.project == found.project, episodes.c.state != "closed", episodes.c.trigger == trigger)
    with ledger.begin() as connection:
        episode = connection.scalar(sa.select(episodes.c.id).where(*mine).with_for_update())
        if episode is None:
            return None
        _count_window(connection, episode, found, confirms=False)
        windows = sa.select(episode_windows.c.confirms).where(episode_windows.c.episode == episode)
        newest = connection.scalars(windows.order_by(episode_windows.c.ends_at.desc()).limit(needed)).all()
        if any(newest) or len(newest) < needed:
            return None
        outcome = f"{needed} stable windows in a row: it passed"
        _close(connection, episodes.c.id == episode, outcome)
    _resolve_incidents(ledger, found.project, [episode], outcome)
    return int(episode)


def find_open_episode(ledger: Ledger, project: str) -> EpisodeReport | None:
    """Return the episode of a project that nobody has answered yet."""
    return next(iter(_read(ledger, 1, episodes.c.project == project, episodes.c.state == "open")), None)


def find_unclosed_episode(ledger: Ledger, project: str) -> EpisodeReport | None:
    """Return the episode of a project that is not over, answered or not."""
    return next(iter(_read(ledger, 1, episodes.c.project == project, episodes.c.state != "closed")), None)


def find_episode(ledger: Ledger, episode: int) -> EpisodeReport:
    """Return one episode.

    :raises ArtifactNotFoundError: there is none of that number.
    """
    found = _read(ledger, 1, episodes.c.id == episode)
    if not found:
        raise ArtifactNotFoundError(f"there is no episode {episode}; the `episodes` verb lists them")
    return found[0]


def list_episodes(ledger: Ledger, project: str, limit: int = 100) -> list[EpisodeReport]:
    """Return the episodes of a project, newest first."""
    return _read(ledger, limit, episodes.c.project == project)


def record_diagnosis(ledger: Ledger, diagnosis: DiagnosisReport) -> None:
    """Keep why an episode's windows differ."""
    with ledger.begin() as connection:
        values = {"diagnosis": diagnosis.model_dump(mode="json")}
        connection.execute(sa.update(episodes).where(episodes.c.id == diagnosis.episode).values(**values))


def record_action(ledger: Ledger, decision: ActionDecision) -> None:
    """Keep what follows for an episode; what a person chose is also on the audit chain, and answered anew."""
    values: dict[str, Any] = {"decision": decision.model_dump(mode="json")}
    with ledger.begin() as connection:
        known = sa.select(episodes.c.decision).where(episodes.c.id == decision.episode).with_for_update()
        if decision.overridden_by and connection.scalar(known) != values["decision"]:
            values |= {"state": "open", "answered_by": None}
            subject, why = f"episode {decision.episode}", "; ".join(decision.reasons)
            facts = {"cause": decision.cause, "action": decision.action}
            append_entry(
                connection, decision.project, "override", subject, who=decision.overridden_by, why=why, **facts
            )
        chosen = sa.and_(episodes.c.id == decision.episode, episodes.c.state != "closed")
        connection.execute(sa.update(episodes).where(chosen).values(**values))


def answer_episode(ledger: Ledger, episode: int, run: str) -> bool:
    """Claim an open episode for the answer of one run; no other run ever gets True for it."""
    with ledger.begin() as connection:
        return claim_episode(connection, episode, run)


def claim_episode(connection: sa.Connection, episode: int, run: str) -> bool:
    """Claim an open episode inside the transaction of its answer; see `answer_episode`."""
    claimable = sa.or_(episodes.c.state == "open", episodes.c.answered_by == run)
    mine = sa.update(episodes).where(episodes.c.id == episode, episodes.c.state != "closed", claimable)
    return connection.execute(mine.values(state="requested", answered_by=run)).rowcount == 1


def release_episode(ledger: Ledger, episode: int, run: str) -> None:
    """Give an episode back that a run has claimed: nothing came of its answer. What another run claimed since stays."""
    with ledger.begin() as connection:
        claimed = sa.select(episodes.c.answered_by).where(episodes.c.id == episode).with_for_update()
        if connection.scalar(claimed) == run:
            reopen_episode(connection, episode)


def reopen_episode(connection: sa.Connection, episode: int) -> None:
    """Let an episode be answered again whose answer was lost."""
    mine = sa.update(episodes).where(episodes.c.id == episode, episodes.c.state == "requested")
    connection.execute(mine.values(state="open", answered_by=None))


def close_episodes(ledger: Ledger, project: str, outcome: str = "a new model serves") -> None:
    """Close what is open once a new model serves; drift seen from now on is a new episode."""
    with ledger.begin() as connection:
        over = _close(connection, episodes.c.project == project, outcome)
    _resolve_incidents(ledger, project, over, outcome)
    resolve_key(ledger, project, UNFAIR, who="monitoring", why=outcome)


def close_answered_episode(ledger: Ledger, project: str, outcome: str = "no better model came of it") -> None:
    """Close the episode whose retraining brought no better model; drift that goes on opens another.

    One that was answered otherwise, such as by an incident, is not over because some candidate was rejected.
    """
    mine = sa.and_(episodes.c.project == project, episodes.c.state == "requested", _trained)
    with ledger.begin() as connection:
        over = _close(connection, mine, outcome)
    _resolve_incidents(ledger, project, over, outcome)


def close_missed_episode(ledger: Ledger, project: str, outcome: str) -> None:
    """Close the episode of a missed objective: what was promised is kept again, or promised no longer."""
    mine = sa.and_(episodes.c.project == project, episodes.c.trigger == "objective")
    with ledger.begin() as connection:
        over = _close(connection, mine, outcome)
    _resolve_incidents(ledger, project, over, outcome)


def name_incident(episode: int) -> str:
    """Name the incident of an episode, by its key."""
    return f"episode {episode}"


def _resolve_incidents(ledger: Ledger, project: str, over: list[int], outcome: str) -> None:
    for episode in over:
        resolve_key(ledger, project, name_incident(episode), who="monitoring", why=outcome)


def _confirm(row: Insert, kind: str, *, missed: bool) -> dict[str, Any]:
    """Say what evidence changes of an episode that is not closed.

    Whoever answered it without a training did not know yet that answers are worse, or an objective is missed. Once
    that is known, the next answer stands.
    """
    kept = {kind: sa.func.coalesce(episodes.c[kind], row.excluded[kind])}
    if kind == "drift":
        return kept
    news = episodes.c.trigger != "objective" if missed else episodes.c.performance.is_(None)
    again = sa.and_(episodes.c.state == "requested", ~_trained, news)
    return kept | {
        "trigger": row.excluded.trigger if missed else episodes.c.trigger,
        "state": sa.case((again, "open"), else_=episodes.c.state),
        "answered_by": sa.case((again, sa.null()), else_=episodes.c.answered_by),
        "decision": sa.case((again, sa.null()), else_=episodes.c.decision),
    }


def _find_closed(found: Evidence, *, missed: bool) -> sa.Select[Any]:
    window = sa.and_(
        episode_windows.c.episode == episodes.c.id,
        episode_windows.c.starts_at == found.start,
        episode_windows.c.ends_at == found.end,
        episode_windows.c.confirms,
    )
    closed = sa.and_(episodes.c.project == found.project, episodes.c.state == "closed")
    if missed:
        closed = sa.and_(closed, episodes.c.trigger == "objective")
    return sa.select(episodes.c.id).where(window, closed).order_by(episodes.c.id.desc()).limit(1)


def _count_window(connection: sa.Connection, episode: int, found: Evidence, *, confirms: bool) -> None:
    row = insert(episode_windows).values(episode=episode, starts_at=found.start, ends_at=found.end, confirms=confirms)
    either = {"confirms": sa.or_(episode_windows.c.confirms, row.excluded.confirms)}
    connection.execute(row.on_conflict_do_update(constraint=episode_windows.primary_key, set_=either))


def _close(connection: sa.Connection, which: sa.ColumnElement[bool], outcome: str) -> list[int]:
    over = sa.update(episodes).where(which, episodes.c.state != "closed")
    values = {"state": "closed", "closed_at": sa.func.now(), "outcome": outcome}
    return list(connection.scalars(over.values(**values).returning(episodes.c.id)))


def _read(ledger: Ledger, limit: int, *conditions: sa.ColumnElement[bool]) -> list[EpisodeReport]:
    confirming = sa.and_(episode_windows.c.episode == episodes.c.id, episode_windows.c.confirms)
    windows = sa.select(sa.func.count()).where(confirming).scalar_subquery()
    kept = [column for column in episodes.c if column.name not in {"recorded_at", "answered_by"}]
    query = sa.select(*kept, episodes.c.recorded_at.label("opened_at"), windows.label("windows")).where(*conditions)
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(episodes.c.id.desc()).limit(limit)).mappings().all()
    return [EpisodeReport.model_validate(dict(row)) for row in rows]
