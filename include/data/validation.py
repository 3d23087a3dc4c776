"""Merge the shards of a partition, count them up, and hold them against what the project expects."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts import ShardReport, ValidationReport
from include.data.data_docs import render_page
from include.data.expectations import run_expectations, summarise
from include.data.staging import (
    ACCEPTED,
    IMAGES,
    MANIFEST_COLUMNS,
    QUARANTINE,
    QUARANTINED,
    RowWriter,
    merge_rows,
    publish_file,
    read_manifest,
)
from include.errors import ContractViolationError
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.images import digest_rows


@dataclass(frozen=True)
class _Merged:
    address: str
    manifest: pa.Table
    quarantine: pa.Table
    duplicates: int


def validate_partition(project: Project, reports: Sequence[ShardReport], store: Store) -> ValidationReport:
    """Merge all shards of a delivery and validate the result; the verdict is in the report, see `require_quality`.

    Of equal images the first by source stays. The staged rows, the quarantine and the Data Docs page are written
    whatever the verdict. Method: Great Expectations, ephemeral context.

    :raises ContractViolationError: the reports are not the complete shards of one delivery.
    """
    shards = _check_complete(project, reports)
    partition = shards[0].shard.batch.partition
    merged = _merge(project, partition, shards, store)
    result = run_expectations(project, partition, merged.manifest.to_pandas())
    expectations = summarise(result)
    report = ValidationReport(
        project=project.name,
        partition=partition,
        address=merged.address,
        digest=digest_rows(merged.manifest),
        seen=sum(shard.seen for shard in shards),
        accepted=merged.manifest.num_rows,
        duplicates=merged.duplicates,
        quarantined=merged.quarantine.num_rows,
        reasons=dict(sorted(Counter(merged.quarantine["reason"].to_pylist()).items())),
        expectations=expectations,
        success=all(expectation.success for expectation in expectations),
        data_docs="",
    )
    return _publish_data_docs(store, report, render_page(report, result, merged.quarantine.to_pylist()))


def _check_complete(project: Project, reports: Sequence[ShardReport]) -> list[ShardReport]:
    shards = sorted(reports, key=lambda report: report.shard.index)
    batches = {report.shard.batch for report in shards}
    places = [(report.shard.index, report.shard.count) for report in shards]
    if len(batches) != 1 or places != [(index, len(shards)) for index in range(len(shards))]:
        raise ContractViolationError(
            f"{len(shards)} shard reports {places} of {len(batches)} deliveries; "
            "hand over each shard of one delivery once"
        )
    if shards[0].shard.batch.project != project.name:
        raise ContractViolationError(f"shards of {shards[0].shard.batch.project!r} were handed to {project.name!r}")
    return shards


def _merge(project: Project, partition: str, shards: Sequence[ShardReport], store: Store) -> _Merged:
    known: set[str] = set()
    duplicates = sum(shard.duplicates for shard in shards)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with RowWriter(folder / ACCEPTED, IMAGES) as accepted, RowWriter(folder / QUARANTINED, QUARANTINE) as refused:
            for row in merge_rows(store, [f"{shard.address}/{ACCEPTED}" for shard in shards]):
                if row["digest"] in known:
                    duplicates += 1
                else:
                    known.add(row["digest"])
                    accepted.add(row)
            for row in merge_rows(store, [f"{shard.address}/{QUARANTINED}" for shard in shards]):
                refused.add(row)
        digest = digest_bytes(accepted.digest.digest() + refused.digest.digest()).removeprefix("sha256:")
        address = f"{project.name}/staging/{partition}/validated-{digest[:16]}"
        store.publish_folder(folder, address)
        publish_file(store, folder / QUARANTINED, f"{project.name}/quarantine/{partition}.parquet")
    quarantine = pq.read_table(
        store.path(f"{address}/{QUARANTINED}"), columns=[name for name in QUARANTINE.names if name != "original"]
    )
    return _Merged(
        address, read_manifest(store, f"{address}/{ACCEPTED}").select(MANIFEST_COLUMNS), quarantine, duplicates
    )


def _publish_data_docs(store: Store, report: ValidationReport, page: str) -> ValidationReport:
    digest = digest_bytes(report.model_dump_json().encode()).removeprefix("sha256:")
    address = f"{report.project}/reports/data_docs/{report.partition}-{digest[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "index.html").write_text(page, encoding="utf-8")
        store.publish_folder(Path(scratch), address)
    return report.model_copy(update={"data_docs": f"{address}/index.html"})
