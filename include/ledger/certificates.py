"""The signed certificate of every version; the first one issued for a version stays."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert

from include.contracts import ModelVersionRef
from include.errors import ContractViolationError
from include.ledger.database import Ledger
from include.ledger.tables import certificates, model_versions


@dataclass(frozen=True)
class CertifiedVersion:
    """A registered version, and its signed certificate; none where it is older than certificates."""

    version: ModelVersionRef
    signed: bytes | None
    recorded_at: datetime


def record_certificate(ledger: Ledger, project: str, version: int, key: str, signed: bytes) -> bytes:
    """Record the signed certificate of a version; return the one that is on record."""
    row = insert(certificates).values(project=project, version=version, model_key=key, signed=signed)
    with ledger.begin() as connection:
        connection.execute(row.on_conflict_do_nothing())
    return find_certificate(ledger, project, version) or signed


def find_certificate(ledger: Ledger, project: str, version: int) -> bytes | None:
    """Return the signed certificate of a version."""
    found = sa.select(certificates.c.signed).where(certificates.c.project == project, certificates.c.version == version)
    with ledger.begin() as connection:
        return connection.scalar(found)


def list_certified_versions(
    ledger: Ledger, project: str, limit: int, before: int | None = None
) -> list[CertifiedVersion]:
    """Return registered versions, newest first.

    :param before: Only versions older than this one.
    :raises ContractViolationError: a record was damaged.
    """
    of_it = sa.and_(
        certificates.c.project == model_versions.c.project, certificates.c.version == model_versions.c.version
    )
    columns = (
        model_versions.c.version,
        model_versions.c.model_version,
        certificates.c.signed,
        model_versions.c.recorded_at,
    )
    query = sa.select(*columns).select_from(sa.outerjoin(model_versions, certificates, of_it))
    query = query.where(model_versions.c.project == project).order_by(model_versions.c.version.desc()).limit(limit)
    if before is not None:
        query = query.where(model_versions.c.version < before)
    with ledger.begin() as connection:
        rows = connection.execute(query).all()
    return [CertifiedVersion(_read_version(project, *row[:2]), *row[2:]) for row in rows]


def _read_version(project: str, number: int, document: Any) -> ModelVersionRef:
    try:
        return ModelVersionRef.model_validate(document)
    except ValidationError as error:
        raise ContractViolationError(
            f"the ledger's record of {project}'s model version {number} was damaged: {error}; restore it from a backup"
        ) from error
