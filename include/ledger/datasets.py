"""Published dataset versions and what each partition brought."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from include.contracts import DatasetRef, ValidationReport
from include.ledger.database import Ledger
from include.ledger.leases import Lease
from include.ledger.tables import dataset_versions, partitions


def record_publication(ledger: Ledger, lease: Lease, dataset: DatasetRef, validation: ValidationReport) -> None:
    """Record that a partition is part of a dataset version; recording the same again changes nothing."""
    version = insert(dataset_versions).values(
        project=dataset.project, version=dataset.version, digest=dataset.digest, dataset=dataset.model_dump(mode="json")
    )
    with ledger.begin() as connection:
        lease.guard(connection)
        connection.execute(version.on_conflict_do_nothing())
        if _latest(connection, validation.project).get(validation.partition) != validation:
            connection.execute(
                sa.insert(partitions).values(
                    project=validation.project,
                    partition=validation.partition,
                    version=dataset.version,
                    validation=validation.model_dump(mode="json"),
                )
            )


def find_latest_dataset(ledger: Ledger, project: str) -> DatasetRef | None:
    """Return the newest published version of a project's dataset."""
    newest = (
        sa.select(dataset_versions.c.dataset)
        .where(dataset_versions.c.project == project)
        .order_by(dataset_versions.c.version.desc())
        .limit(1)
    )
    with ledger.begin() as connection:
        row = connection.scalar(newest)
    return DatasetRef.model_validate(row) if row else None


def list_partitions(ledger: Ledger, project: str) -> dict[str, ValidationReport]:
    """Return the latest validation report of every published partition, by partition key."""
    with ledger.begin() as connection:
        return _latest(connection, project)


def _latest(connection: sa.Connection, project: str) -> dict[str, ValidationReport]:
    rows = connection.execute(
        sa.select(partitions.c.partition, partitions.c.validation)
        .where(partitions.c.project == project)
        .ext(distinct_on(partitions.c.partition))
        .order_by(partitions.c.partition, partitions.c.id.desc())
    )
    return {partition: ValidationReport.model_validate(validation) for partition, validation in rows}
