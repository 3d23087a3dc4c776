"""Verdicts on partitions over time, and the quarantines an approver released."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from include.contracts import ValidationReport
from include.ledger.audit import append_entry
from include.ledger.database import Ledger
from include.ledger.tables import quarantine_releases, validations


def record_validation(ledger: Ledger, report: ValidationReport, passed: bool) -> None:
    """Keep the verdict on a partition; the same verdict as the partition's last one changes nothing."""
    document = report.model_dump(mode="json")
    row = sa.insert(validations).values(
        project=report.project, partition=report.partition, digest=report.digest, passed=passed, validation=document
    )
    with ledger.begin() as connection:
        # Attempts of one task may end at the same moment.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"validations {report.project}"))))
        last = _latest(report.project, validations.c.partition == report.partition)
        found = connection.execute(last).first()
        if found is None or (found.validation, found.passed) != (document, passed):
            connection.execute(row)


def list_validations(
    ledger: Ledger, project: str, before: str | None = None, passed: bool | None = None
) -> list[ValidationReport]:
    """Return the latest report of every validated partition, in partition order.

    :param before: Only partitions earlier than this one.
    :param passed: Only partitions whose latest validation passed, or did not.
    """
    conditions = [] if before is None else [validations.c.partition < before]
    with ledger.begin() as connection:
        rows = connection.execute(_latest(project, *conditions)).all()
    return [ValidationReport.model_validate(row.validation) for row in rows if passed in {None, row.passed}]


def find_last_validation(ledger: Ledger, project: str, partition: str) -> ValidationReport | None:
    """Return the latest report of a partition, passed or not."""
    with ledger.begin() as connection:
        found = connection.execute(_latest(project, validations.c.partition == partition)).first()
    return ValidationReport.model_validate(found.validation) if found else None


def list_settled_partitions(ledger: Ledger, project: str, days: int) -> list[str]:
    """Return the partitions whose last validation is at least some days old."""
    limit = sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    query = sa.select(validations.c.partition).where(validations.c.project == project)
    query = query.group_by(validations.c.partition).having(sa.func.max(validations.c.recorded_at) <= limit)
    with ledger.begin() as connection:
        return sorted(connection.scalars(query))


def record_release(ledger: Ledger, project: str, partition: str, content: str, released_by: str, reason: str) -> None:
    """Let exactly this content of a partition pass its gate; the first release of the same content stays.

    :param content: Address of the validated rows and their quarantine, which names both.
    """
    row = insert(quarantine_releases).values(
        project=project, partition=partition, content=content, released_by=released_by, reason=reason
    )
    with ledger.begin() as connection:
        if connection.execute(row.on_conflict_do_nothing()).rowcount:
            facts = {"partition": partition, "content": content}
            append_entry(
                connection, project, "override", f"quarantine of {partition}", who=released_by, why=reason, **facts
            )


def find_release(ledger: Ledger, report: ValidationReport) -> str | None:
    """Return why the content of a report was released, or None where nobody released it."""
    release = sa.select(quarantine_releases.c.reason).where(
        quarantine_releases.c.project == report.project,
        quarantine_releases.c.partition == report.partition,
        quarantine_releases.c.content == report.address,
    )
    with ledger.begin() as connection:
        return connection.scalar(release)


def _latest(project: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[object, bool]]:
    return (
        sa.select(validations.c.validation, validations.c.passed)
        .where(validations.c.project == project, *conditions)
        .ext(distinct_on(validations.c.partition))
        .order_by(validations.c.partition, validations.c.id.desc())
    )
