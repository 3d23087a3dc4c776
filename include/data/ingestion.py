"""Turn delivered files into staged rows: decode them elsewhere, join them with what is known of them, count them up."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from include.contracts import ShardRef, ShardReport
from include.data.chunks import Decoded, Refused, Why
from include.data.decoders import count_workers, decode_files
from include.data.delivery import Delivery, open_delivery
from include.data.staging import (
    BYTES_FILE,
    BYTES_SCHEMA,
    COPIES_FILE,
    COPIES_SCHEMA,
    MANIFEST_FILE,
    MANIFEST_SCHEMA,
    QUARANTINE_FILE,
    QUARANTINE_SCHEMA,
    RowWriter,
    measure_bytes,
    name_rows,
    reporting_full_disk,
)
from include.data.tabulation import Tabulator
from include.errors import ContractViolationError, TransientError
from include.ledger import Ledger
from include.ledger.erasures import list_forgotten, name_subject
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.schema import BYTES

UNLISTED: Why = ("missing_from_manifest", "delivered, but not listed")
FORGOTTEN: Why = ("forgotten", "erased on request; it must not come back, delete it where it was delivered")


def ingest_shard(project: Project, shard: ShardRef, store: Store, ledger: Ledger) -> ShardReport:
    """Stage the rows of one shard; the same files and project give the same address and bytes.

    A file that cannot be accepted is staged with its reason: seen = accepted + duplicates + quarantined. A duplicate
    has the stored bytes of a file before it. Memory holds what the delivery says of its files, not their bytes.

    :raises DataQualityError: the listing or the labels cannot be read.
    :raises TransientError: the disk is full, or the decoder processes were killed from outside.
    """
    if shard.batch.project != project.name:
        raise ContractViolationError(f"shard of {shard.batch.project!r} was handed to project {project.name!r}")
    delivery = open_delivery(project, shard.batch, store)
    forgotten = list_forgotten(ledger, project.name)
    names = delivery.names[shard.index :: shard.count]
    places = range(shard.index, len(delivery.names), shard.count)
    rows = Tabulator(project, delivery, shard.batch.partition, names, places)
    known = _find_known(project, delivery, names, forgotten)
    with reporting_full_disk(store), tempfile.TemporaryDirectory() as scratch:
        with _open_shard(Path(scratch), rows, forgotten) as writer:
            for decoded in decode_files(delivery.images, names, project.data, count_workers(shard.count), known):
                writer.add(decoded)
        digest = name_rows(Path(scratch))
        name = f"shard-{shard.index}-of-{shard.count}-{digest.removeprefix('sha256:')[:16]}"
        address = f"{project.name}/staging/{shard.batch.partition}/{name}"
        store.publish_folder(Path(scratch), address)
    if list_forgotten(ledger, project.name) != forgotten:
        # Whatever an erasure searched meanwhile, it did not see these rows.
        store.remove(address)
        raise TransientError(f"images of {project.name} were erased while {name} was staged; it is staged again")
    return ShardReport(
        shard=shard,
        address=address,
        digest=digest,
        listing=digest_bytes("\n".join(delivery.names).encode("utf-8", "surrogateescape")),
        seen=len(names),
        accepted=writer.accepted.count,
        duplicates=writer.copies.count,
        quarantined=writer.refused.count,
    )


def _find_known(
    project: Project, delivery: Delivery, names: Sequence[str], forgotten: frozenset[str]
) -> dict[str, Why]:
    """Find the files that are refused whatever they hold."""
    classes = frozenset(project.classes)
    known: dict[str, Why] = {}
    for name in names:
        shot = delivery.shots.get(name)
        unknown = [entry.label for entry in delivery.labels.get(name, ()) if entry.label not in classes]
        if shot and shot.subject and forgotten and name_subject(shot.subject) in forgotten:
            known[name] = FORGOTTEN
        elif name in delivery.refused:
            known[name] = delivery.refused[name]
        elif shot is None:
            known[name] = UNLISTED
        elif unknown:
            known[name] = "unknown_class", f"label {unknown[-1]!r} is no class of {project.name}"
    return known


@dataclass
class _ShardWriter:
    """Writes the files of one shard."""

    rows: Tabulator
    forgotten: frozenset[str]
    accepted: RowWriter
    refused: RowWriter
    copies: RowWriter
    bytes: RowWriter
    known: set[str] = field(default_factory=set)

    def add(self, decoded: Decoded) -> None:
        """Write some files, each to where it belongs: accepted, a copy, or refused."""
        digests = decoded.digests
        forgotten = [number for number, digest in enumerate(digests) if digest in self.forgotten]
        copies = [number for number in self._find_copies(digests) if digests[number] not in self.forgotten]
        rows = self.rows.tabulate(decoded)
        self.copies.add(rows.select(COPIES_SCHEMA.names).take(pa.array(copies, pa.int64())))
        if copies or forgotten:
            rows = rows.take(pa.array(np.delete(np.arange(len(digests)), copies + forgotten)))
        erased = [Refused(decoded.positions[number], *FORGOTTEN, digests[number]) for number in forgotten]
        refused = sorted([*decoded.refused, *erased], key=lambda one: one.position)
        self._write(rows, self.rows.tabulate_refused([self._forget(one) for one in refused]))

    def _forget(self, refused: Refused) -> Refused:
        """Drop the bytes of what must not be kept."""
        erased = refused.reason == "forgotten" or refused.digest in self.forgotten
        return replace(refused, original=None) if erased else refused

    def _find_copies(self, digests: Sequence[str]) -> list[int]:
        copies = []
        for number, digest in enumerate(digests):
            if digest in self.known:
                copies.append(number)
            self.known.add(digest)
        return copies

    def _write(self, rows: pa.Table, refused: pa.Table) -> None:
        """Write rows, and their bytes in the order of the delivery; a refused file may keep none."""
        kept = refused.filter(refused["original"].is_valid())
        images = rows.select([*BYTES, "place"])
        if kept.num_rows:
            images = pa.concat_tables([images, kept.select(images.column_names)]).sort_by("place")
        places = images["place"].to_numpy()
        for writer, part in ((self.accepted, rows), (self.refused, refused)):
            numbers = np.searchsorted(places, part["place"].to_numpy()) + self.bytes.count
            absent = part["image"].is_null().to_numpy() & part["original"].is_null().to_numpy()
            part = part.append_column("row", pa.array(numbers, mask=absent))
            part = part.append_column("size", pa.array(measure_bytes(part)))
            writer.add(part.select(writer.schema.names))
        self.bytes.add(images.select(BYTES))


@contextmanager
def _open_shard(folder: Path, rows: Tabulator, forgotten: frozenset[str]) -> Iterator[_ShardWriter]:
    with (
        RowWriter(folder / MANIFEST_FILE, MANIFEST_SCHEMA) as accepted,
        RowWriter(folder / QUARANTINE_FILE, QUARANTINE_SCHEMA) as refused,
        RowWriter(folder / COPIES_FILE, COPIES_SCHEMA) as copies,
        RowWriter(folder / BYTES_FILE, BYTES_SCHEMA) as images,
    ):
        yield _ShardWriter(rows, forgotten, accepted, refused, copies, images)
