"""What was erased, what must never come back, and which models had learned from it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.contracts import ErasureReport
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.lineage import LEARNED_FROM
from include.ledger.tables import candidates, erasures, forgotten, memberships
from include.storage import digest_bytes
from include.storage.signing import canonical_json


def name_subject(subject: str) -> str:
    """Name a subject key without keeping it, as `sha256:<hex>`."""
    return digest_bytes(subject.encode())


def list_forgotten(ledger: Ledger, project: str) -> frozenset[str]:
    """Return the image digests and the names of subjects a project must not take in again."""
    with ledger.begin() as connection:
        return frozenset(connection.scalars(sa.select(forgotten.c.name).where(forgotten.c.project == project)))


def refuse_forever(ledger: Ledger, project: str, names: list[str]) -> None:
    """Refuse images or subjects from now on, before anything is erased: none may come in while that goes on."""
    if not names:
        return
    rows = insert(forgotten).values([{"project": project, "name": name} for name in names])
    with ledger.begin() as connection:
        connection.execute(rows.on_conflict_do_nothing())


def find_images_of(ledger: Ledger, project: str, subject: str) -> list[str]:
    """Return the digests of every image that ever showed a subject."""
    query = sa.select(memberships.c.digest).distinct().order_by(memberships.c.digest)
    query = query.where(memberships.c.project == project, memberships.c.subject == subject)
    with ledger.begin() as connection:
        return list(connection.scalars(query))


def record_erasure(ledger: Ledger, receipt: ErasureReport) -> int:
    """Keep the receipt, with its digest on the audit chain, and forget the subject's key; return its number."""
    document = receipt.model_dump(mode="json")
    row = sa.insert(erasures).values(project=receipt.project, receipt=document)
    with ledger.begin() as connection:
        number = connection.scalar(row.returning(erasures.c.id))
        facts = {"images": len(receipt.images), "receipt": digest_bytes(canonical_json(document))}
        who, why = receipt.requested_by, receipt.reason
        append_entry(connection, receipt.project, "override", f"erasure {number}", who=who, why=why, **facts)
        gone = sa.and_(memberships.c.project == receipt.project, memberships.c.digest.in_(receipt.images))
        connection.execute(sa.update(memberships).where(gone).values(subject=None))
    return int(number or 0)


def find_receipt(ledger: Ledger, project: str, images: tuple[str, ...], subject: str | None) -> ErasureReport | None:
    """Return the newest receipt of an erasure that covered all these images, and the subject if one is named."""
    receipts = (receipt for receipt, _ in list_erasures(ledger, project))
    return next((one for one in receipts if set(images) <= set(one.images) and subject in {None, one.subject}), None)


def list_erasures(ledger: Ledger, project: str) -> list[tuple[ErasureReport, datetime]]:
    """Return every receipt with the time it was recorded, newest first."""
    query = sa.select(erasures.c.receipt, erasures.c.recorded_at).where(erasures.c.project == project)
    with ledger.begin() as connection:
        rows = connection.execute(query.order_by(erasures.c.id.desc())).all()
    return [(ErasureReport.model_validate(receipt), when) for receipt, when in rows]


def list_marked_models(ledger: Ledger, project: str) -> dict[str, str]:
    """Return the run of every model that learned from something forgotten since, by model key.

    Also of one that was recorded after the erasure, because it was being trained meanwhile; not of an imported one,
    which was only judged on the dataset.
    """
    gone = sa.and_(forgotten.c.project == memberships.c.project, forgotten.c.name == memberships.c.digest)
    marked = sa.join(candidates, memberships, LEARNED_FROM).join(forgotten, gone)
    query = sa.select(candidates.c.key, candidates.c.model["run_id"].as_string()).select_from(marked).distinct()
    learned = sa.func.coalesce(candidates.c.model["imported"].as_boolean(), False).is_(False)
    with ledger.begin() as connection:
        rows = connection.execute(query.where(candidates.c.project == project, learned)).all()
    return {key: run for key, run in rows}  # noqa: C416 - dict() of rows loses their types
