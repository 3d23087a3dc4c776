"""Staged rows in Parquet files: manifests without bytes, and the bytes apart, written and read some at a time.

A shard is `manifest`, `quarantine`, `copies` and `bytes`. A validated partition is `manifest` and `quarantine`, whose
rows say in which row of which shard their bytes are. All rows lie in the order of the delivery, which no division into
shards changes.
"""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.errors import ArtifactNotFoundError, TransientError
from include.storage import Store
from include.vision.schema import BYTES, IMAGES, MANIFEST_COLUMNS

MANIFEST_FILE = "manifest.parquet"
QUARANTINE_FILE = "quarantine.parquet"
COPIES_FILE = "copies.parquet"
BYTES_FILE = "bytes.parquet"
SHARDS_FILE = "shards.json"

# A row group is what a reader holds at once.
GROUP_BYTES = 4_000_000
GROUP_ROWS = 16_384
FULL_DISK = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
FEW_VALUES = ("partition", "label", "split", "reason")

QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("digest", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("original", pa.large_binary()),
    ]
)
ORIGIN = [
    pa.field("place", pa.int64()),  # in the delivery
    pa.field("row", pa.int64()),  # in the shard's file of bytes; null where no bytes are kept
    pa.field("size", pa.int64()),  # of those bytes
]
SHARD = pa.field("shard", pa.int32())
BYTES_SCHEMA = pa.schema([IMAGES.field(name) for name in BYTES])
MANIFEST_SCHEMA = pa.schema([*(IMAGES.field(name) for name in MANIFEST_COLUMNS), *ORIGIN])
FACTS = [field for field in QUARANTINE if field.name not in BYTES]
QUARANTINE_SCHEMA = pa.schema([*FACTS, IMAGES.field("subject"), *ORIGIN])  # `forget` looks for the subject
COPIES_SCHEMA = pa.schema([*(IMAGES.field(name) for name in ("digest", "label", "source")), ORIGIN[0]])


class RowWriter:
    """Write rows to one Parquet file; in which batches they come does not show in the file.

    :ivar count: Rows written.
    :ivar schema: Columns of the file.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.count = 0
        self.schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            # Images are compressed already, and no two are equal.
            compression={name: "none" if name in BYTES else "snappy" for name in schema.names},
            use_dictionary=[name for name in FEW_VALUES if name in schema.names],
            write_statistics=False,
        )
        self._rows: list[pa.Table] = []
        self._waiting = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def add(self, rows: pa.Table) -> None:
        """Append rows; the row that fills a row group ends it."""
        self.count += rows.num_rows
        ends = np.cumsum(measure_bytes(rows))
        start = 0
        while start < rows.num_rows:
            before = int(ends[start - 1]) if start else 0
            filled = int(np.searchsorted(ends, before + GROUP_BYTES - self._bytes)) + 1
            end = min(filled, start + GROUP_ROWS - self._waiting, rows.num_rows)
            self._rows.append(rows.slice(start, end - start))
            self._waiting += end - start
            self._bytes += int(ends[end - 1]) - before
            if self._bytes >= GROUP_BYTES or self._waiting >= GROUP_ROWS:
                self._flush()
            start = end

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.concat_tables(self._rows), row_group_size=GROUP_ROWS)
        self._rows, self._waiting, self._bytes = [], 0, 0


def measure_bytes(rows: pa.Table) -> NDArray[np.int64]:
    """Return the bytes of each row's images."""
    sizes = np.zeros(rows.num_rows, dtype=np.int64)
    for name in BYTES:
        if name in rows.column_names:
            sizes += pc.fill_null(pc.binary_length(rows[name]), 0).to_numpy()
    return sizes


def name_rows(folder: Path) -> str:
    """Name staged rows by the files that name their bytes."""
    digest = hashlib.sha256()
    for name in (MANIFEST_FILE, QUARANTINE_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


@contextmanager
def reporting_full_disk(store: Store) -> Iterator[None]:
    """Raise a `TransientError` that says what to do where there is no room for what is written inside."""
    try:
        yield
    except OSError as error:
        # By its text: what copies a whole folder carries no number.
        found = next((text for text in FULL_DISK if text in str(error)), None)
        if found is None:
            raise
        raise TransientError(
            f"no room to stage rows ({found}) in {tempfile.gettempdir()} or store {store.root}; nothing was published, "
            "free space and try again"
        ) from error


def read_manifest(store: Store, address: str) -> pa.Table:
    """Read the accepted rows of a validated partition without their bytes, in the order of the delivery.

    :raises ArtifactNotFoundError: nothing is staged there.
    """
    return read_staged(store, f"{address}/{MANIFEST_FILE}").select(MANIFEST_COLUMNS)


def read_quarantine(store: Store, address: str) -> pa.Table:
    """Read what was put aside of a validated partition, in schema `QUARANTINE`; bytes are there where they were kept.

    :raises ArtifactNotFoundError: nothing is staged there.
    """
    rows = read_staged(store, f"{address}/{QUARANTINE_FILE}")
    return pa.Table.from_batches(_join_bytes(store, address, rows, QUARANTINE), QUARANTINE)


def stream_rows(store: Store, address: str) -> Iterator[pa.RecordBatch]:
    """Read the accepted rows of a validated partition in schema `IMAGES`, in the order of the delivery.

    Memory holds the manifest, and of the bytes one row group a shard.

    :raises ArtifactNotFoundError: nothing is staged there.
    """
    rows = read_staged(store, f"{address}/{MANIFEST_FILE}")
    return _join_bytes(store, address, rows, IMAGES)


def read_staged(store: Store, address: str) -> pa.Table:
    """Read one staged file.

    :raises ArtifactNotFoundError: it is not there.
    """
    with _open(store, address) as file:
        return file.read()


def _join_bytes(store: Store, address: str, rows: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    shards = json.loads(store.read(f"{address}/{SHARDS_FILE}"))
    with ExitStack() as stack:
        files = [stack.enter_context(_open(store, f"{shard}/{BYTES_FILE}")) for shard in shards]
        readers = [_BytesReader(file) for file in files]
        for start, end in _cut(rows):
            window = rows.slice(start, end - start)
            found = _gather(readers, window)
            for name in BYTES:
                if name in schema.names:
                    window = window.append_column(name, found[name])
            yield from window.select(schema.names).combine_chunks().cast(schema).to_batches()


def _cut(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """Cut rows where their bytes fill a row group."""
    ends = np.cumsum(rows["size"].to_numpy())
    start = 0
    while start < rows.num_rows:
        before = int(ends[start - 1]) if start else 0
        filled = int(np.searchsorted(ends, before + GROUP_BYTES)) + 1
        end = min(filled, start + GROUP_ROWS, rows.num_rows)
        yield start, end
        start = end


class _BytesReader:
    """Reads rows of a file of bytes in ascending order, a row group at a time."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        self._next = 0
        self._first = 0
        self._group = BYTES_SCHEMA.empty_table()

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        parts = []
        while len(rows):
            here = int(np.searchsorted(rows, self._first + self._group.num_rows))
            parts.append(self._group.take(pa.array(rows[:here] - self._first)))
            rows = rows[here:]
            if len(rows):
                self._first += self._group.num_rows
                self._group = self._file.read_row_group(self._next)
                self._next += 1
        return pa.concat_tables(parts)


def _gather(readers: Sequence[_BytesReader], rows: pa.Table) -> pa.Table:
    """Return the bytes of rows, in their order; null where none are kept."""
    shards, kept = rows["shard"].to_numpy(), rows["row"].is_valid().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(rows["row"], -1).to_numpy()
    places = [np.flatnonzero(kept & (shards == shard)) for shard in range(len(readers))]
    found = [reader.take(numbers[chosen]) for reader, chosen in zip(readers, places, strict=True) if len(chosen)]
    order = np.full(rows.num_rows, -1)
    order[np.concatenate([*places, []]).astype(np.int64)] = np.arange(kept.sum())
    return pa.concat_tables([BYTES_SCHEMA.empty_table(), *found]).take(pa.array(order, mask=~kept))


def _open(store: Store, address: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(store.open(address), pre_buffer=False)
    except ArtifactNotFoundError as error:
        raise ArtifactNotFoundError(
            f"no staged rows at {address!r} in store {store.root}; ingest and validate the partition again"
        ) from error
