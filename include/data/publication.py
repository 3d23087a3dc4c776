"""Bring a validated partition into the project's versioned dataset, in one commit."""

from collections.abc import Iterator

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lance.fragment import FragmentMetadata, write_fragments
from numpy.typing import NDArray

from include.contracts import DatasetRef, ValidationReport
from include.data.dataset import create_dataset, hold_dataset, locate_dataset, record_version
from include.data.quality import require_quality
from include.data.staging import read_manifest, stream_rows
from include.errors import ContractViolationError, DataQualityError
from include.ledger import Ledger
from include.ledger.erasures import list_forgotten, name_subject
from include.ledger.leases import Lease
from include.ledger.quality import find_last_validation
from include.project import Project
from include.storage import Store
from include.vision.images import digest_rows
from include.vision.schema import IMAGES, MANIFEST_COLUMNS

FRAGMENT_BITS = 32  # A row's address is its fragment's number, then its place in there.


def publish_partition(
    project: Project, report: ValidationReport, store: Store, ledger: Ledger, holder: str
) -> DatasetRef:
    """Make the dataset hold exactly the validated rows for this partition, and record the version in the ledger.

    Content that is there already makes no new version, and rows that stay as they are are not written again. Killed
    at any point, it is completed by running it again. Memory does not grow with the images, only with their manifest.

    :param holder: Name of the attempt, equal for retries of one task: those take their own lease over at once.
    :raises DataQualityError: the partition does not meet the project's bar, or holds what was erased since.
    :raises ContractViolationError: the staged rows are not the validated ones.
    :raises LeaseHeldError: other partitions were being written for a whole minute.
    """
    require_quality(project, report, ledger)
    with hold_dataset(project, ledger, holder) as lease:
        staged = _read_staged(project, report, store, ledger)
        dataset = create_dataset(project, store)
        published = dataset.to_table(
            columns=MANIFEST_COLUMNS, filter=f"partition = '{report.partition}'", with_row_address=True
        )
        kept = _find_unchanged(published, staged)
        if len(kept) < max(published.num_rows, staged.num_rows):
            gone = published.filter(pc.invert(pc.is_in(published["digest"], value_set=kept)))["_rowaddr"]
            fragments = _write(project, report, store, kept, staged.num_rows - len(kept))
            dataset = _commit(dataset, gone.to_numpy(), fragments, ledger, lease)
        return record_version(project, dataset, store, ledger, lease, report)


def _read_staged(project: Project, report: ValidationReport, store: Store, ledger: Ledger) -> pa.Table:
    staged = read_manifest(store, report.address)
    found = digest_rows(staged)
    if found != report.digest:
        raise ContractViolationError(
            f"{project.name} {report.partition}: {report.address} holds {found}, not the validated {report.digest}; "
            "ingest and validate the partition again"
        )
    last = find_last_validation(ledger, project.name, report.partition)
    if last and last.address != report.address:
        raise DataQualityError(
            f"{project.name} {report.partition} was validated again since, with other content; this older one must not "
            "replace it. Publish the newer run, or clear this one from collect_batch on"
        )
    # Inside the lease, which an erasure holds too: nothing can be erased between this check and the commit.
    forgotten = list_forgotten(ledger, project.name)
    subjects = {name_subject(subject) for subject in pc.unique(staged["subject"]).drop_null().to_pylist()}
    if forgotten & (subjects | set(staged["digest"].to_pylist())):
        raise DataQualityError(
            f"{project.name} {report.partition}: staged before an erasure, it holds images that must not come back; "
            "ingest and validate the partition again"
        )
    return staged


def _find_unchanged(published: pa.Table, staged: pa.Table) -> pa.Array:
    """Return the digests of the rows that are the same, column by column, in both tables."""
    places = pc.index_in(published["digest"], value_set=staged["digest"].combine_chunks())
    before, after = published.filter(places.is_valid()), staged.take(places.drop_null())
    same = np.ones(before.num_rows, dtype=bool)
    for name in MANIFEST_COLUMNS:
        if not before[name].equals(after[name]):
            pairs = zip(before[name].to_pylist(), after[name].to_pylist(), strict=True)
            same &= np.fromiter((one == other for one, other in pairs), bool, before.num_rows)
    return before["digest"].filter(pa.array(same)).combine_chunks()


def _write(
    project: Project, report: ValidationReport, store: Store, kept: pa.Array, rows: int
) -> list[FragmentMetadata]:
    """Write the staged rows whose digest is not kept beside the dataset, invisible until they are committed."""
    if not rows:
        return []
    batches = pa.RecordBatchReader.from_batches(IMAGES, _leave_out(stream_rows(store, report.address), kept))
    fragments = write_fragments(batches, store.uri(locate_dataset(project)), schema=IMAGES, mode="append")
    written = sum(fragment.num_rows for fragment in fragments)
    if written != rows:
        raise ContractViolationError(
            f"{project.name} {report.partition}: {report.address} yields {written} of {rows} rows; "
            "ingest and validate the partition again"
        )
    return list(fragments)


def _leave_out(batches: Iterator[pa.RecordBatch], kept: pa.Array) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.filter(pc.invert(pc.is_in(batch["digest"], value_set=kept)))


def _commit(
    dataset: lance.LanceDataset,
    gone: NDArray[np.uint64],
    fragments: list[FragmentMetadata],
    ledger: Ledger,
    lease: Lease,
) -> lance.LanceDataset:
    removed, updated = [], []
    numbers = gone >> FRAGMENT_BITS
    for fragment in dataset.get_fragments():
        addresses = gone[numbers == fragment.fragment_id]
        if not len(addresses):
            continue
        left = fragment.delete(f"_rowaddr IN ({', '.join(map(str, addresses))})")
        if left is None:
            removed.append(fragment.fragment_id)
        else:
            updated.append(left)
    change = lance.LanceOperation.Update(removed, updated, fragments)
    with ledger.begin() as connection:
        # The guard locks the lease's row: no newer attempt can start between the check and the commit.
        lease.guard(connection)
        return lance.LanceDataset.commit(dataset, change, read_version=dataset.version)
