"""The project's versioned dataset: who may write it, how it is opened, and what is recorded of a version."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import lance
import pyarrow as pa
import pyarrow.compute as pc
from lance.optimize import CompactionOptions

from include.contracts import DatasetRef, ValidationReport
from include.errors import ArtifactNotFoundError, LeaseHeldError
from include.ledger import Ledger
from include.ledger.datasets import MEMBER_COLUMNS, Members, find_latest_dataset, record_publication
from include.ledger.leases import Lease, hold_lease
from include.project import Project
from include.storage import Store
from include.vision.images import CONTENT_COLUMNS, digest_rows, open_version
from include.vision.schema import IMAGES

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.25
# Small enough that a week's partitions are joined without rewriting the years before.
FRAGMENT_ROWS = 65_536
BATCH_ROWS = 4
PIXEL_BYTES = 4


def locate_dataset(project: Project) -> str:
    """Return the address of a project's dataset; the lease to write it has the same name."""
    return f"{project.name}/images.lance"


def choose_compaction(project: Project) -> CompactionOptions:
    """Return how to join fragments within bounded memory."""
    # What is read ahead bounds the memory; Lance stands still where it holds less than one batch.
    ahead = BATCH_ROWS * PIXEL_BYTES * project.data.max_pixels
    return CompactionOptions(
        target_rows_per_fragment=FRAGMENT_ROWS, batch_size=BATCH_ROWS, num_threads=1, io_buffer_size=ahead
    )


@contextmanager
def hold_dataset(project: Project, ledger: Ledger, holder: str) -> Iterator[Lease]:
    """Hold the right to write a project's dataset, waiting out others: a backfill publishes several days at once.

    :raises LeaseHeldError: others were writing for a whole minute.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(hold_lease(ledger, locate_dataset(project), holder))
                break
            except LeaseHeldError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        yield lease


def open_dataset(project: Project, store: Store) -> lance.LanceDataset:
    """Open the newest version, published or not, of a dataset that may not be there yet.

    :raises ArtifactNotFoundError: nothing was ever published.
    """
    address = locate_dataset(project)
    try:
        return lance.dataset(store.uri(address))
    except ValueError as error:
        raise ArtifactNotFoundError(
            f"no dataset at {address!r} in store {store.root}; publish a partition first"
        ) from error


def create_dataset(project: Project, store: Store) -> lance.LanceDataset:
    """Open the newest version of a dataset; where none is, or none was completed, begin with an empty one."""
    try:
        return open_dataset(project, store)
    except ArtifactNotFoundError:
        return lance.write_dataset(IMAGES.empty_table(), store.uri(locate_dataset(project)), mode="create")


def record_version(
    project: Project,
    dataset: lance.LanceDataset,
    store: Store,
    ledger: Ledger,
    lease: Lease,
    validation: ValidationReport | None = None,
) -> DatasetRef:
    """Tag a committed version with its content's digest and record it; again, or after a kill, nothing is doubled.

    :param validation: Of the partition whose publication made the version.
    :raises StaleAttemptError: a newer attempt has taken the lease over.
    """
    rows = dataset.to_table(columns=CONTENT_COLUMNS)
    reference = DatasetRef(
        project=project.name,
        address=locate_dataset(project),
        version=dataset.version,
        digest=digest_rows(rows),
        images=rows.num_rows,
        labelled=rows.num_rows - rows["label"].null_count,
    )
    _tag(dataset, name_tag(reference.digest))
    members = _read_members(dataset, find_latest_dataset(ledger, project.name), store)
    record_publication(ledger, lease, reference, members, validation)
    return reference


def name_tag(digest: str) -> str:
    """Name the Lance tag of a content digest; a tag may hold no colon."""
    return digest.replace(":", "-")


def _tag(dataset: lance.LanceDataset, name: str) -> None:
    tagged = dataset.tags.list().get(name)
    if tagged is None:
        dataset.tags.create(name, dataset.version)
    elif tagged["version"] != dataset.version:
        dataset.tags.update(name, dataset.version)


def _read_members(dataset: lance.LanceDataset, recorded: DatasetRef | None, store: Store) -> Members:
    """Read what changed since the version recorded last: also what a killed attempt committed and did not record."""
    try:
        before = open_version(recorded, store) if recorded else None
    except ArtifactNotFoundError:
        before = None
    if before is None:
        return Members(dataset.to_table(columns=MEMBER_COLUMNS))
    partitions = _changed_partitions(before, dataset)
    names = ", ".join(f"'{name}'" for name in sorted(partitions)) or "''"
    return Members(dataset.to_table(columns=MEMBER_COLUMNS, filter=f"partition IN ({names})"), partitions)


def _changed_partitions(before: lance.LanceDataset, after: lance.LanceDataset) -> set[str]:
    versions = [{fragment.fragment_id: fragment for fragment in one.get_fragments()} for one in (before, after)]
    shared = versions[0].keys() & versions[1].keys()
    same = {number for number in shared if versions[0][number].metadata == versions[1][number].metadata}
    changed: set[str] = set()
    for dataset, fragments in zip((before, after), versions, strict=True):
        touched = [fragment for number, fragment in fragments.items() if number not in same]
        if touched:
            column: pa.Table = dataset.scanner(columns=["partition"], fragments=touched).to_table()
            changed.update(pc.unique(column["partition"]).to_pylist())
    return changed
