"""The audit chain: who registered, judged, approved, moved and overrode what, when and why.

Every entry carries the hash of the one before it (Haber and Stornetta 1991), so that none can be changed, removed or
moved unnoticed; a signed head in the store says how far the chain had come, so that its end cannot be cut off either.
"""

import getpass
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from pydantic import Field, ValidationError

from include.contracts import AuditKind, AuditReport, Contract
from include.contracts.governance import AuditEntry
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.database import Ledger
from include.ledger.tables import alias_moves, audit_entries
from include.settings import load_settings
from include.storage import Store, digest_bytes
from include.storage.signing import Signer, canonical_json, read_signed

CHAMPION = "champion"


class AuditHead(Contract):
    """How far a chain had come when it was sealed: 0 entries, or that of a hash."""

    project: str
    sequence: int = Field(default=0, ge=0)
    hash: str = ""


def append_entry(
    connection: sa.Connection, project: str, kind: AuditKind, subject: str, *, who: str | None, why: str, **payload: Any
) -> None:
    """Append to a project's chain, in the transaction of the deed itself.

    :param who: Run or person; the user of this process unless given.
    :param payload: Facts as JSON values, small; digests stand for anything large.
    """
    _lock(connection, project)
    newest = sa.select(audit_entries.c.sequence, audit_entries.c.hash, audit_entries.c.at)
    newest = newest.where(audit_entries.c.project == project).order_by(audit_entries.c.sequence.desc()).limit(1)
    last = connection.execute(newest).first()
    # Not the transaction's own time: it began before this entry's turn came.
    now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    entry = {
        "project": project,
        "sequence": last.sequence + 1 if last else 1,
        "at": max(now, last.at) if last else now,
        "kind": kind,
        "subject": subject,
        "who": who or name_user(),
        "why": why,
        "payload": payload,
        "previous": last.hash if last else "",
    }
    connection.execute(sa.insert(audit_entries).values(**entry, hash=_hash(entry)))


def record_entry(
    ledger: Ledger, project: str, kind: AuditKind, subject: str, *, who: str | None, why: str, **payload: Any
) -> None:
    """Append one entry whose deed has no table of its own; see `append_entry`."""
    with ledger.begin() as connection:
        append_entry(connection, project, kind, subject, who=who, why=why, **payload)


def seal_chain(ledger: Ledger, project: str, store: Store) -> None:
    """Sign how far a project's chain has come; sealing again what is sealed changes nothing.

    Seal before the first registration, too: from then on, a chain without a head is one whose head was removed.

    :raises ContractViolationError: the chain no longer is what was sealed before, or is broken since.
    """
    with ledger.begin() as connection:
        # One at a time, or an older head could be written over a newer one.
        _lock(connection, project)
        head = find_head(project, store)
        since = _read(connection, project, head.sequence if head else 1)
        _check_head(project, head, since)
        _check_links(project, since)
        reached = AuditHead(project=project)
        if since:
            reached = AuditHead(project=project, sequence=since[-1].sequence, hash=since[-1].hash)
        if reached != head:
            signer = Signer(load_settings().home, store)
            store.write(head_address(project), signer.sign(reached.model_dump(mode="json")))


def verify_chain(ledger: Ledger, project: str, store: Store) -> tuple[tuple[AuditEntry, ...], int]:
    """Return a project's chain, oldest entry first, and how many of its entries are sealed, after checking every link.

    :raises ContractViolationError: an entry was changed, removed, moved or cut off, or the ledger's alias moves are
        not those on the chain; the message names the first such entry.
    """
    with ledger.begin() as connection:
        _lock(connection, project)
        chain = _read(connection, project, 1)
        head = find_head(project, store)
        moves = connection.execute(sa.select(alias_moves).where(alias_moves.c.project == project)).all()
    _check_links(project, chain)
    if chain and (chain[0].sequence, chain[0].previous) != (1, ""):
        raise _broken(project, 1, "it is missing")
    _check_head(project, head, chain[max(head.sequence - 1, 0) :] if head else chain)
    _check_moves(project, chain, moves)
    return tuple(chain), head.sequence if head else 0


def describe_chain(ledger: Ledger, project: str, store: Store, at: datetime, recent: int) -> AuditReport:
    """Say what a project's chain tells about a moment, after checking all of it.

    :param at: Moment with time zone.
    :param recent: Most entries to show, the newest up to that moment.
    :raises ContractViolationError: see `verify_chain`.
    """
    chain, sealed = verify_chain(ledger, project, store)
    known = [entry for entry in chain if entry.at <= at]
    crowned = [entry for entry in known if entry.kind == "alias" and entry.payload["alias"] == CHAMPION]
    return AuditReport(
        project=project,
        at=at,
        entries=len(chain),
        sealed=sealed,
        champion=crowned[-1].payload["version"] if crowned else None,
        moved=crowned[-1] if crowned else None,
        recent=tuple(known[-recent:]),
    )


def find_head(project: str, store: Store) -> AuditHead | None:
    """Return the signed head of a project's chain.

    :raises ContractViolationError: what is there was not signed by a trusted key, or is another project's.
    """
    address = head_address(project)
    try:
        head = AuditHead.model_validate(read_signed(store.read(address), store))
    except ArtifactNotFoundError:
        return None
    except (ContractViolationError, ValidationError) as error:
        raise ContractViolationError(f"the head of {project}'s audit chain, {address}, is void: {error}") from error
    if head.project != project:
        raise ContractViolationError(f"the head of {project}'s audit chain, {address}, is that of {head.project}")
    return head


def head_address(project: str) -> str:
    """Address of the signed head of a project's chain."""
    return f"{project}/audit/head.json"


def name_user() -> str:
    """Name the user of this process."""
    try:
        return f"user {getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a user that has no name
        return f"user {os.getuid()}"


def _lock(connection: sa.Connection, project: str) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{project}/audit", 0))))


def _read(connection: sa.Connection, project: str, since: int) -> list[AuditEntry]:
    query = sa.select(audit_entries).where(audit_entries.c.project == project, audit_entries.c.sequence >= since)
    rows = connection.execute(query.order_by(audit_entries.c.sequence)).mappings()
    try:
        return [AuditEntry.model_validate(dict(row)) for row in rows]
    except ValidationError as error:
        raise ContractViolationError(f"the audit chain of {project} has an entry that is none: {error}") from error


def _hash(entry: dict[str, Any]) -> str:
    # PostgreSQL answers in the session's time zone.
    return digest_bytes(canonical_json(entry | {"at": entry["at"].astimezone(UTC).isoformat()}))


def _check_links(project: str, entries: Sequence[AuditEntry]) -> None:
    for entry in entries:
        if _hash(entry.model_dump(exclude={"hash"})) != entry.hash:
            raise _broken(project, entry.sequence, "it was changed")
    for before, entry in pairwise(entries):
        if entry.sequence != before.sequence + 1:
            raise _broken(project, before.sequence + 1, "it is missing")
        if entry.previous != before.hash:
            raise _broken(project, entry.sequence, f"it does not follow entry {before.sequence}")


def _check_head(project: str, head: AuditHead | None, since: Sequence[AuditEntry]) -> None:
    """Find the head in the chain; registering seals, so that a chain with a registration has one."""
    if head is None:
        registered = next((entry for entry in since if entry.kind == "registration"), None)
        if registered:
            raise _broken(project, registered.sequence, f"{head_address(project)}, which was signed after it, is gone")
    elif not head.sequence:
        return
    elif not since or since[0].sequence != head.sequence:
        raise _broken(project, head.sequence, "it was sealed, and is missing")
    elif since[0].hash != head.hash:
        raise _broken(project, head.sequence, "it is not the entry that was sealed")


def _check_moves(project: str, chain: Sequence[AuditEntry], moves: Iterable[sa.Row[Any]]) -> None:
    said = {
        (entry.payload["alias"], entry.payload["move"]): (entry.payload["version"], entry.sequence)
        for entry in chain
        if entry.kind == "alias"
    }
    # Moves before the first entry are those of a ledger that is older than its chain.
    made = {(row.alias, row.sequence): row.version for row in moves}
    new = {(row.alias, row.sequence) for row in moves if chain and row.recorded_at >= chain[0].at}
    for name, (version, sequence) in said.items():
        if made.get(name) != version:
            raise _broken(project, sequence, f"the ledger has version {made.get(name)} for this move of {name[0]!r}")
    for alias, move in sorted(new - set(said)):
        raise ContractViolationError(
            f"{project}: move {move} of alias {alias!r} to version {made[alias, move]} is on no entry of the audit "
            "chain; see docs/runbook.md, audit chain broken"
        )


def _broken(project: str, sequence: int, what: str) -> ContractViolationError:
    return ContractViolationError(
        f"the audit chain of {project} is broken at entry {sequence}: {what}; see docs/runbook.md, audit chain broken"
    )
