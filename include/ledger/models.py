"""Candidates, decisions, certified versions, and the aliases that move over them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import Digest, ModelRef, ModelVersionRef, PromotionDecision
from include.errors import StaleAttemptError
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.datasets import record_read
from include.ledger.retirements import require_not_retired
from include.ledger.tables import alias_moves, candidates, decisions, model_versions
from include.storage import digest_bytes
from include.storage.signing import canonical_json


def record_candidate(ledger: Ledger, model: ModelRef, lost: ModelRef | None = None) -> ModelRef:
    """Record a trained model under its key; the first record of a key stays, and is returned.

    :param lost: The record to replace, because its artifacts are gone.
    """
    row = insert(candidates).values(key=model.key, project=model.project, model=model.model_dump(mode="json"))
    once = row.on_conflict_do_update(
        index_elements=[candidates.c.key],
        set_={"model": row.excluded.model},
        where=candidates.c.model["run_id"].as_string() == (lost.run_id if lost else None),
    )
    with ledger.begin() as connection:
        connection.execute(once)
    return find_candidate(ledger, model.key) or model


def find_candidate(ledger: Ledger, key: str) -> ModelRef | None:
    """Return the model that was trained under a key."""
    with ledger.begin() as connection:
        row = connection.scalar(sa.select(candidates.c.model).where(candidates.c.key == key))
    return ModelRef.model_validate(row) if row else None


def find_latest_candidate(ledger: Ledger, project: str) -> ModelRef | None:
    """Return the model that was trained last."""
    newest = (
        sa.select(candidates.c.model)
        .where(candidates.c.project == project)
        .order_by(candidates.c.recorded_at.desc())
        .limit(1)
    )
    with ledger.begin() as connection:
        row = connection.scalar(newest)
    return ModelRef.model_validate(row) if row else None


def record_decision(ledger: Ledger, decision: PromotionDecision, who: str | None = None) -> None:
    """Append a promotion decision to the history, and that its dataset was read for it.

    :param who: Run or person, for the audit chain.
    """
    model, document = decision.candidate.model, decision.model_dump(mode="json")
    row = sa.insert(decisions).values(
        project=model.project, model_key=model.key, verdict=decision.verdict, decision=document
    )
    facts = {"verdict": decision.verdict, "decision": digest_bytes(canonical_json(document))}
    with ledger.begin() as connection:
        connection.execute(row)
        why = "; ".join(decision.reasons)
        append_entry(connection, model.project, "verdict", f"model {model.key}", who=who, why=why, **facts)
    record_read(ledger, model.dataset, "evaluate", f"run {model.run_id}")


def find_decision(ledger: Ledger, key: str) -> PromotionDecision | None:
    """Return the latest decision about a model."""
    newest = (
        sa.select(decisions.c.decision).where(decisions.c.model_key == key).order_by(decisions.c.id.desc()).limit(1)
    )
    with ledger.begin() as connection:
        row = connection.scalar(newest)
    return PromotionDecision.model_validate(row) if row else None


def record_model_version(
    ledger: Ledger, version: ModelVersionRef, who: str | None = None, why: str = "", certificate: Digest | None = None
) -> None:
    """Record a registered version under its model's key; recording it again changes nothing.

    :param who: Run or person, for the audit chain.
    :param certificate: Digest of its signed certificate.
    """
    model = version.model
    row = insert(model_versions).values(
        project=model.project,
        model_key=model.key,
        version=version.version,
        model_version=version.model_dump(mode="json"),
    )
    with ledger.begin() as connection:
        if connection.execute(row.on_conflict_do_nothing()).rowcount:
            facts = {"version": version.version, "model": model.key, "certificate": certificate}
            subject = f"version {version.version}"
            append_entry(connection, model.project, "registration", subject, who=who, why=why, **facts)


def find_model_version(
    ledger: Ledger, project: str, *, key: str | None = None, version: int | None = None
) -> ModelVersionRef | None:
    """Return a registered version by its model's key or by its number."""
    wanted = model_versions.c.model_key == key if key else model_versions.c.version == version
    with ledger.begin() as connection:
        row = connection.scalar(
            sa.select(model_versions.c.model_version).where(model_versions.c.project == project, wanted)
        )
    return ModelVersionRef.model_validate(row) if row else None


def find_alias(ledger: Ledger, project: str, alias: str) -> int | None:
    """Return the version an alias points at now."""
    with ledger.begin() as connection:
        return _current(connection, project, alias)[1]


def move_alias(
    ledger: Ledger,
    project: str,
    alias: str,
    *,
    expected: int | None,
    version: int,
    reason: str,
    who: str | None = None,
    trail: str | None = None,
) -> None:
    """Move an alias by compare-and-set; moving it to where it is already changes nothing.

    :param who: Run or person, for the audit chain.
    :param trail: Alias that takes the version this one leaves, in the same transaction.
    :raises StaleAttemptError: the alias no longer points at `expected`.
    """
    with ledger.begin() as connection:
        _lock(connection, project, alias)
        current = _current(connection, project, alias)[1]
        if current == version:
            return
        if current != expected:
            raise StaleAttemptError(
                f"alias {alias!r} of {project} points at version {current}, not at {expected} as this attempt saw; "
                "another release was faster, run it again on what is there now"
            )
        if trail and current is not None:
            _lock(connection, project, trail)
            _move(connection, project, trail, current, reason, who)
        _move(connection, project, alias, version, reason, who)


def _lock(connection: sa.Connection, project: str, alias: str) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{project}/{alias}"))))


def _move(connection: sa.Connection, project: str, alias: str, version: int, reason: str, who: str | None) -> None:
    sequence, current = _current(connection, project, alias)
    if current == version:
        return
    connection.execute(
        sa.insert(alias_moves).values(
            project=project, alias=alias, sequence=sequence + 1, version=version, reason=reason
        )
    )
    facts = {"alias": alias, "move": sequence + 1, "version": version, "before": current}
    append_entry(connection, project, "alias", f"alias {alias}", who=who, why=reason, **facts)
    # After the chain's lock, which a retirement takes as well: whichever comes second sees the other.
    require_not_retired(connection, project, version)


def _current(connection: sa.Connection, project: str, alias: str) -> tuple[int, int | None]:
    row = connection.execute(
        sa.select(alias_moves.c.sequence, alias_moves.c.version)
        .where(alias_moves.c.project == project, alias_moves.c.alias == alias)
        .order_by(alias_moves.c.sequence.desc())
        .limit(1)
    ).first()
    return (row.sequence, row.version) if row else (0, None)
