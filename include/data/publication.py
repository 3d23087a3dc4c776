"""Bring a validated partition into the project's versioned dataset, in one commit."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import lance
import pyarrow as pa

from include.contracts import DatasetRef, ValidationReport
from include.data.quality import require_quality
from include.data.staging import ACCEPTED, IMAGES, MANIFEST_COLUMNS, read_manifest, read_rows
from include.errors import LeaseHeldError
from include.ledger import Ledger
from include.ledger.datasets import record_publication
from include.ledger.leases import Lease, hold_lease
from include.project import Project
from include.storage import Store
from include.vision.images import CONTENT_COLUMNS, digest_rows

KEY = ["partition", "digest"]
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.25


def publish_partition(
    project: Project, report: ValidationReport, store: Store, ledger: Ledger, holder: str
) -> DatasetRef:
    """Make the dataset hold exactly the validated rows for this partition, and record the version in the ledger.

    Content that is there already makes no new version. Killed at any point, it is completed by running it again.

    :param holder: Name of the attempt, equal for retries of one task: those take their own lease over at once.
    :raises DataQualityError: the partition does not meet the project's bar.
    :raises LeaseHeldError: other partitions were being written for a whole minute.
    """
    require_quality(project, report)
    address = f"{project.name}/images.lance"
    with _wait_for_lease(ledger, address, holder) as lease:
        dataset = _open_dataset(store, address)
        if not _is_published(dataset, report, store):
            dataset = _merge(dataset, report, store, ledger, lease)
        reference = _refer_to(project, address, dataset)
        record_publication(ledger, lease, reference, report)
    return reference


@contextmanager
def _wait_for_lease(ledger: Ledger, name: str, holder: str) -> Iterator[Lease]:
    """Hold the lease, waiting out others: a backfill publishes several partitions at once."""
    deadline = time.monotonic() + WAIT_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(hold_lease(ledger, name, holder))
                break
            except LeaseHeldError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        yield lease


def _open_dataset(store: Store, address: str) -> lance.LanceDataset:
    path = store.path(address)
    try:
        return lance.dataset(str(path))
    except ValueError:
        # Not there, or killed before its first version was complete.
        path.parent.mkdir(parents=True, exist_ok=True)
        return lance.write_dataset(IMAGES.empty_table(), str(path), mode="create")


def _is_published(dataset: lance.LanceDataset, report: ValidationReport, store: Store) -> bool:
    published = dataset.to_table(columns=MANIFEST_COLUMNS, filter=f"partition = '{report.partition}'")
    staged = read_manifest(store, f"{report.address}/{ACCEPTED}")
    return bool(published.sort_by("digest").equals(staged.select(MANIFEST_COLUMNS).sort_by("digest")))


def _merge(
    dataset: lance.LanceDataset, report: ValidationReport, store: Store, ledger: Ledger, lease: Lease
) -> lance.LanceDataset:
    staged = pa.RecordBatchReader.from_batches(IMAGES, read_rows(store, f"{report.address}/{ACCEPTED}"))
    merge = dataset.merge_insert(KEY).when_matched_update_all().when_not_matched_insert_all()
    merge = merge.when_not_matched_by_source_delete(f"partition = '{report.partition}'")
    transaction, _ = merge.execute_uncommitted(staged)
    with ledger.begin() as connection:
        # The guard locks the lease's row: no newer attempt can start between the check and the commit.
        lease.guard(connection)
        return lance.LanceDataset.commit(dataset, transaction)


def _refer_to(project: Project, address: str, dataset: lance.LanceDataset) -> DatasetRef:
    rows = dataset.to_table(columns=CONTENT_COLUMNS)
    return DatasetRef(
        project=project.name,
        address=address,
        version=dataset.version,
        digest=digest_rows(rows),
        images=rows.num_rows,
        labelled=rows.num_rows - rows["label"].null_count,
    )
