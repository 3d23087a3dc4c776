"""Published dataset versions, what each partition brought, which images they hold, and who read them."""

import io
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from include.contracts import DatasetRef, ValidationReport
from include.ledger.database import Ledger
from include.ledger.leases import Lease
from include.ledger.tables import (
    candidates,
    dataset_reads,
    dataset_versions,
    memberships,
    model_versions,
    partitions,
    releases,
    retirements,
)

MEMBER_COLUMNS = ["digest", "partition", "source", "subject"]
_present = sa.Table(
    "present", sa.MetaData(), *(sa.Column(name, sa.Text) for name in MEMBER_COLUMNS), prefixes=["TEMPORARY"]
)


@dataclass(frozen=True)
class Members:
    """All images that a dataset version holds in some partitions.

    :ivar rows: Columns `MEMBER_COLUMNS`, strings.
    :ivar partitions: Those of which `rows` is the whole truth; none for the whole dataset.
    """

    rows: pa.Table
    partitions: Collection[str] | None = None


@dataclass(frozen=True)
class DatasetRead:
    """Somebody read a dataset version."""

    version: int
    purpose: str
    reader: str
    read_at: datetime


def record_publication(
    ledger: Ledger, lease: Lease, dataset: DatasetRef, members: Members, validation: ValidationReport | None = None
) -> None:
    """Record a dataset version and the images it holds; recording the same again changes nothing.

    :param members: Of every partition that differs from the version recorded before.
    :param validation: Of the partition that was published; none where the version was made by maintenance.
    :raises StaleAttemptError: a newer attempt has taken the lease over.
    """
    version = insert(dataset_versions).values(
        project=dataset.project, version=dataset.version, digest=dataset.digest, dataset=dataset.model_dump(mode="json")
    )
    with ledger.begin() as connection:
        lease.guard(connection)
        connection.execute(version.on_conflict_do_nothing())
        _record_members(connection, dataset, members)
        if validation and _latest(connection, dataset.project).get(validation.partition) != validation:
            connection.execute(
                sa.insert(partitions).values(
                    project=dataset.project,
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


def list_versions(ledger: Ledger, project: str) -> list[tuple[DatasetRef, datetime]]:
    """Return every recorded version with the time it was recorded, newest first; cleaning may have removed some."""
    query = sa.select(dataset_versions.c.dataset, dataset_versions.c.recorded_at)
    query = query.where(dataset_versions.c.project == project).order_by(dataset_versions.c.version.desc())
    with ledger.begin() as connection:
        return [(DatasetRef.model_validate(dataset), when) for dataset, when in connection.execute(query)]


def list_used_versions(ledger: Ledger, project: str) -> set[int]:
    """Return the dataset versions that a candidate, a certified or a released model was made of, unless it retired."""
    used = [
        (candidates, candidates.c.key, candidates.c.model),
        (model_versions, model_versions.c.model_key, model_versions.c.model_version["model"]),
        (releases, releases.c.release["model"]["model"]["key"].as_string(), releases.c.release["model"]["model"]),
    ]
    retired = sa.select(retirements.c.model_key).where(retirements.c.project == project)
    versions = [
        sa.select(model["dataset"]["version"].as_integer()).where(table.c.project == project, key.not_in(retired))
        for table, key, model in used
    ]
    with ledger.begin() as connection:
        return set(connection.scalars(sa.union(*versions)))


def list_partitions(ledger: Ledger, project: str) -> dict[str, ValidationReport]:
    """Return the latest validation report of every published partition, by partition key."""
    with ledger.begin() as connection:
        return _latest(connection, project)


def record_read(ledger: Ledger, dataset: DatasetRef, purpose: str, reader: str) -> None:
    """Record who read a dataset version and what for; the same again changes nothing.

    :param purpose: `train`, `evaluate`, `package`, `score` or `export`.
    :param reader: Run, or who called the command line.
    """
    row = insert(dataset_reads).values(project=dataset.project, version=dataset.version, purpose=purpose, reader=reader)
    with ledger.begin() as connection:
        connection.execute(row.on_conflict_do_nothing())


def list_reads(ledger: Ledger, project: str) -> list[DatasetRead]:
    """Return who read the project's dataset, newest first."""
    reads = dataset_reads.c
    query = sa.select(reads.version, reads.purpose, reads.reader, reads.recorded_at)
    query = query.where(reads.project == project).order_by(reads.id.desc())
    with ledger.begin() as connection:
        return [DatasetRead(*row) for row in connection.execute(query)]


def _record_members(connection: sa.Connection, dataset: DatasetRef, members: Members) -> None:
    """Open a membership for every image that was not there before; close those of images that are gone."""
    if members.partitions is not None and not members.partitions:
        return
    _copy(connection, members.rows)
    held, now = memberships.c, _present.c
    held_open = sa.and_(held.project == dataset.project, held.until_version.is_(None))
    if members.partitions is not None:
        held_open = sa.and_(held_open, held.partition.in_(members.partitions))
    same = sa.and_(held.digest == now.digest, held.partition == now.partition)
    is_present = sa.exists().where(same)
    connection.execute(sa.update(memberships).where(held_open, ~is_present).values(until_version=dataset.version))
    described_anew = sa.or_(held.source != now.source, held.subject.is_distinct_from(now.subject))
    connection.execute(
        sa.update(memberships).where(held_open, same, described_anew).values(source=now.source, subject=now.subject)
    )
    version: list[Any] = [sa.literal(dataset.project), sa.literal(dataset.version)]
    fresh = sa.select(*version, *(now[name] for name in MEMBER_COLUMNS)).where(~sa.exists().where(held_open, same))
    opened = insert(memberships).from_select(["project", "since_version", *MEMBER_COLUMNS], fresh)
    # The version may have been recorded before, where a store was restored from a backup and counts on from there.
    opened = opened.on_conflict_do_update(constraint=memberships.primary_key, set_={"until_version": None})
    connection.execute(opened)
    _present.drop(connection)


def _copy(connection: sa.Connection, rows: pa.Table) -> None:
    """Bring the rows into the session's table `present`: row by row, a hundred thousand would take minutes."""
    _present.create(connection)
    file = io.BytesIO()
    pyarrow.csv.write_csv(rows.select(MEMBER_COLUMNS), file, pyarrow.csv.WriteOptions(include_header=False))
    file.seek(0)
    driver: Any = connection.connection
    with driver.cursor() as cursor:
        cursor.copy_expert("COPY present FROM STDIN (FORMAT csv)", file)
    # A table nobody has counted is planned for as if it were small.
    connection.execute(sa.text("ANALYZE present"))


def _latest(connection: sa.Connection, project: str) -> dict[str, ValidationReport]:
    rows = connection.execute(
        sa.select(partitions.c.partition, partitions.c.validation)
        .where(partitions.c.project == project)
        .ext(distinct_on(partitions.c.partition))
        .order_by(partitions.c.partition, partitions.c.id.desc())
    )
    return {partition: ValidationReport.model_validate(validation) for partition, validation in rows}
