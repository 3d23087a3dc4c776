"""Merge the shards of a partition, hold it against its suite, set aside the rows that break it, keep the verdict."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa

from include.contracts import ShardReport, ValidationReport
from include.data.data_docs import MAX_NAMED_FILES, render_page
from include.data.expectations import Outcome, hold_rows
from include.data.history import name_parameters
from include.data.merging import Merged, merge_shards, publish_merged
from include.data.outliers import find_conflicts, measure_rows
from include.data.quality import find_troubles
from include.data.suites import load_suite
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.quality import find_release, list_validations, record_validation
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.images import digest_rows


def validate_partition(
    project: Project, reports: Sequence[ShardReport], store: Store, ledger: Ledger
) -> ValidationReport:
    """Merge all shards of a delivery and validate the result; the verdict is in the report, see `require_quality`.

    The staged rows, the quarantine, the Data Docs page and the ledger's record are written whatever the verdict.

    :raises ContractViolationError: the reports are not the complete shards of one delivery.
    :raises ProjectFileError: the project's suite has an unknown or impossible entry.
    """
    suite = load_suite(project)
    merged = merge_shards(project, reports, store)
    partition = reports[0].shard.batch.partition
    history = list_validations(ledger, project.name, before=partition, passed=True)
    parameters = partial(name_parameters, partition, history=history, classes=project.classes, now=datetime.now(UTC))
    outcomes, withdrawn = hold_rows(suite, merged.manifest, find_conflicts(merged.manifest, merged.copies), parameters)
    merged = merged.withdraw(withdrawn)
    address = publish_merged(project, partition, reports, merged, store)
    report = _report(project, partition, reports, merged, address, outcomes)
    return _keep(project, report, merged.quarantine, store, ledger)


def _report(
    project: Project,
    partition: str,
    shards: Sequence[ShardReport],
    merged: Merged,
    address: str,
    outcomes: Sequence[Outcome],
) -> ValidationReport:
    counts = [merged.manifest.num_rows, merged.duplicates, merged.quarantine.num_rows]
    seen = sum(shard.seen for shard in shards)
    if sum(counts) != seen:
        raise ContractViolationError(f"{seen} files were seen, but accepted + duplicates + quarantined are {counts}")
    expectations = tuple(outcome.report for outcome in outcomes)
    return ValidationReport(
        project=project.name,
        partition=partition,
        address=address,
        digest=digest_rows(merged.manifest),
        seen=seen,
        accepted=counts[0],
        duplicates=counts[1],
        quarantined=counts[2],
        reasons=dict(sorted(Counter(merged.quarantine["reason"].to_pylist()).items())),
        **asdict(measure_rows(merged.manifest)),
        expectations=expectations,
        success=all(one.success for one in expectations if one.on_failure == "stop"),
        data_docs="",
    )


def _keep(
    project: Project, report: ValidationReport, quarantine: pa.Table, store: Store, ledger: Ledger
) -> ValidationReport:
    """Publish the Data Docs page and record the verdict; the page is named by what it says."""
    troubles = find_troubles(project, report)
    files = quarantine.slice(0, MAX_NAMED_FILES).to_pylist()
    page = render_page(report, troubles, files, find_release(ledger, report))
    digest = digest_bytes(page.encode()).removeprefix("sha256:")
    address = f"{report.project}/reports/data_docs/{report.partition}-{digest[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "index.html").write_text(page, encoding="utf-8")
        store.publish_folder(Path(scratch), address)
    report = report.model_copy(update={"data_docs": f"{address}/index.html"})
    record_validation(ledger, report, passed=not troubles)
    return report
