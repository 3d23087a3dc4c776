"""Make one partition of its shards: copies of an image counted, rows that must not stay put aside, nothing lost."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.contracts import QuarantineReason, ShardReport
from include.data.staging import (
    COPIES_FILE,
    COPIES_SCHEMA,
    MANIFEST_FILE,
    MANIFEST_SCHEMA,
    QUARANTINE,
    QUARANTINE_FILE,
    QUARANTINE_SCHEMA,
    SHARD,
    SHARDS_FILE,
    RowWriter,
    name_rows,
    read_staged,
    reporting_full_disk,
)
from include.errors import ContractViolationError, DataQualityError
from include.project import Project
from include.storage import Store
from include.vision.schema import MANIFEST_COLUMNS

FACTS = [name for name in QUARANTINE.names if name != "original"]


@dataclass(frozen=True)
class Merged:
    """The rows of one partition without their bytes, in the order of the delivery.

    :ivar copies: `digest`, `label` and `source` of files with the bytes of an accepted row before them.
    """

    copies: pa.Table
    _accepted: pa.Table
    _refused: pa.Table

    @property
    def manifest(self) -> pa.Table:
        """Accepted rows: `MANIFEST_COLUMNS`."""
        return self._accepted.select(MANIFEST_COLUMNS)

    @property
    def quarantine(self) -> pa.Table:
        """Rows put aside: source, digest, reason and detail."""
        return self._refused.select(FACTS)

    @property
    def duplicates(self) -> int:
        """Number of the copies."""
        return int(self.copies.num_rows)

    def withdraw(self, refusals: Mapping[str, tuple[QuarantineReason, str]]) -> "Merged":
        """Put the accepted rows of some sources aside.

        :param refusals: Reason and detail by source.
        """
        chosen = pc.is_in(self._accepted["source"], value_set=pa.array(list(refusals), pa.string()))
        rows = self._accepted.filter(chosen)
        whys = [refusals[source] for source in rows["source"].to_pylist()]
        for index, name in enumerate(("reason", "detail")):
            rows = rows.append_column(name, pa.array([why[index] for why in whys], pa.string()))
        refused = pa.concat_tables([self._refused, rows.select(self._refused.column_names)])
        return replace(self, _accepted=self._accepted.filter(pc.invert(chosen)), _refused=refused.sort_by("place"))


def merge_shards(project: Project, reports: Sequence[ShardReport], store: Store) -> Merged:
    """Merge the shards of a delivery; of equal images the first stays.

    :raises ContractViolationError: the reports are not the complete shards of one delivery.
    """
    shards = _check_complete(project, reports)
    accepted = _read(store, shards, MANIFEST_FILE)
    firsts = np.zeros(accepted.num_rows, dtype=bool)
    firsts[np.unique(_number(accepted["digest"]), return_index=True)[1]] = True
    late = accepted.filter(pa.array(~firsts)).select(COPIES_SCHEMA.names)
    copies = pa.concat_tables([_read(store, shards, COPIES_FILE).select(COPIES_SCHEMA.names), late]).sort_by("place")
    return Merged(
        copies.drop_columns("place"), accepted.filter(pa.array(firsts)), _read(store, shards, QUARANTINE_FILE)
    )


def publish_merged(
    project: Project, partition: str, reports: Sequence[ShardReport], merged: Merged, store: Store
) -> str:
    """Stage a merged partition, and its quarantine where people look for it; return the address of the former.

    The bytes stay in the files of the shards, which it names.

    :raises TransientError: the disk is full.
    """
    addresses = [report.address for report in _check_complete(project, reports)]
    with reporting_full_disk(store), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(folder / MANIFEST_FILE, merged._accepted, MANIFEST_SCHEMA)
        _write(folder / QUARANTINE_FILE, merged._refused, QUARANTINE_SCHEMA)
        (folder / SHARDS_FILE).write_text(json.dumps(addresses))
        digest = name_rows(folder).removeprefix("sha256:")
        address = f"{project.name}/staging/{partition}/validated-{digest[:16]}"
        store.publish_folder(folder, address)
        store.write(f"{project.name}/quarantine/{partition}.parquet", _render(merged.quarantine))
    return address


def _check_complete(project: Project, reports: Sequence[ShardReport]) -> list[ShardReport]:
    shards = sorted(reports, key=lambda report: report.shard.index)
    batches = {report.shard.batch for report in shards}
    places = [(report.shard.index, report.shard.count) for report in shards]
    if len(batches) != 1 or places != [(index, len(shards)) for index in range(len(shards))]:
        raise ContractViolationError(
            f"{len(shards)} shard reports {places} of {len(batches)} deliveries; "
            "hand over each shard of one delivery once"
        )
    if len({report.listing for report in shards}) != 1:
        raise DataQualityError(
            f"the delivery {shards[0].shard.batch.uri} changed while its shards were read, and some of its files would "
            "be lost; run the partition again, from collect_batch on"
        )
    if shards[0].shard.batch.project != project.name:
        raise ContractViolationError(f"shards of {shards[0].shard.batch.project!r} were handed to {project.name!r}")
    return shards


def _read(store: Store, shards: Sequence[ShardReport], name: str) -> pa.Table:
    """Read one file of every shard into one table, in the order of the delivery, that says of which shard a row is."""
    parts = [read_staged(store, f"{report.address}/{name}") for report in shards]
    numbers = [pa.array(np.full(part.num_rows, index), SHARD.type) for index, part in enumerate(parts)]
    rows = [part.append_column(SHARD, numbers[index]) for index, part in enumerate(parts)]
    return pa.concat_tables(rows).sort_by("place")


def _number(values: pa.ChunkedArray) -> NDArray[np.int32]:
    """Return equal numbers for equal values."""
    encoded: Any = pc.dictionary_encode(values.combine_chunks())
    numbers: NDArray[np.int32] = encoded.indices.to_numpy()
    return numbers


def _write(path: Path, rows: pa.Table, schema: pa.Schema) -> None:
    with RowWriter(path, schema.append(SHARD)) as writer:
        writer.add(rows.select([*schema.names, SHARD.name]))


def _render(quarantine: pa.Table) -> bytes:
    """Write the quarantine without bytes: those stay in the staged files."""
    buffer = pa.BufferOutputStream()
    pq.write_table(quarantine, buffer)
    return bytes(buffer.getvalue())
