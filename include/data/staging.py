"""Staged rows: what ingestion writes, validation merges and publication reads, in Parquet files of flat memory."""

import hashlib
import heapq
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import ArtifactNotFoundError
from include.storage import Store, sync_folder

ACCEPTED = "accepted.parquet"
QUARANTINED = "quarantined.parquet"
CHUNK_BYTES = 4_000_000
CHUNK_ROWS = 1_000

IMAGES = pa.schema(
    [
        ("digest", pa.string()),
        ("image", pa.large_binary()),
        ("partition", pa.string()),
        ("group", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("captured_at", pa.timestamp("us", tz="UTC")),
        ("known_at", pa.timestamp("us", tz="UTC")),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
MANIFEST_COLUMNS = [name for name in IMAGES.names if name != "image"]

QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("digest", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("original", pa.large_binary()),
    ]
)
BINARY = {"image", "original"}


class RowWriter:
    """Write rows to one Parquet file, a row group at a time.

    :ivar count: Rows written.
    :ivar digest: SHA-256 over all values but the bytes, which are named by the `digest` column.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.count = 0
        self.digest = hashlib.sha256()
        self._writer = pq.ParquetWriter(path, schema)
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row."""
        described = {name: value for name, value in row.items() if name not in BINARY}
        self.digest.update(json.dumps(described, default=str, sort_keys=True).encode() + b"\n")
        self.count += 1
        self._rows.append(row)
        self._bytes += sum(len(row[name] or b"") for name in BINARY & row.keys())
        if self._bytes >= CHUNK_BYTES or len(self._rows) >= CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


def read_rows(store: Store, address: str) -> Iterator[pa.RecordBatch]:
    """Read a staged file, some rows at a time."""
    with _open(store, address) as file:
        # Row group by row group: what writing kept small, reading does not pile up.
        for index in range(file.num_row_groups):
            yield from file.read_row_group(index).to_batches()


def merge_rows(store: Store, addresses: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Read several staged files as one, in the order of `source`, in which each of them is written."""
    files = (_iterate(store, address) for address in addresses)
    return heapq.merge(*files, key=lambda row: str(row["source"]))


def publish_file(store: Store, path: Path, address: str) -> None:
    """Copy a finished file to an address in one step, over an older one if there is one."""
    target = store.path(address)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as copy, path.open("rb") as file:
            shutil.copyfileobj(file, copy)
            copy.flush()
            os.fsync(copy.fileno())
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(target.parent)


def _iterate(store: Store, address: str) -> Iterator[dict[str, Any]]:
    for batch in read_rows(store, address):
        yield from batch.to_pylist()


def read_manifest(store: Store, address: str) -> pa.Table:
    """Read all of a staged file's accepted rows but the image bytes."""
    with _open(store, address) as file:
        return file.read(columns=MANIFEST_COLUMNS)


def _open(store: Store, address: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(store.path(address))
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(
            f"no staged rows at {address!r} in store {store.root}; ingest and validate the partition again"
        ) from error
