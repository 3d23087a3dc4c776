"""Validated partitions made row by row, for tests of what comes after validation."""

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from include.contracts import ValidationReport
from include.data.staging import (
    BYTES_FILE,
    BYTES_SCHEMA,
    MANIFEST_FILE,
    MANIFEST_SCHEMA,
    QUARANTINE_FILE,
    QUARANTINE_SCHEMA,
    SHARD,
    SHARDS_FILE,
    RowWriter,
    measure_bytes,
    name_rows,
)
from include.vision.images import digest_rows
from include.vision.schema import BYTES, IMAGES, MANIFEST_COLUMNS


def make_rows(partition, images, first=0, subject=None):
    """Rows of `images` different images, labelled 0 to 9 in turn."""
    moment = datetime.fromisoformat(f"{partition}T08:00:00+00:00")
    return pa.Table.from_pylist(
        [_make_row(partition, number, moment, subject) for number in range(first, first + images)], schema=IMAGES
    )


def _make_row(partition, number, moment, subject):
    image = b"\x89PNG" + np.random.default_rng(number).bytes(500)
    label = str(number % 10)
    return {
        "digest": f"sha256:{hashlib.sha256(image).hexdigest()}",
        "image": image,
        "original": None,
        "partition": partition,
        "group": f"specimen-{number}",
        "subject": subject,
        "label": label,
        "known_at": moment,
        "labels": [{"label": label, "known_at": moment}],
        "split": "train",
        "source": f"{partition}/images/{number}.png",
        "observed_at": moment,
        "width": 32,
        "height": 32,
        "phash": number,
        "embedding": bytes(256),
        "brightness": 0.1,
        "contrast": 0.2,
        "saturation": 0.3,
        "sharpness": 0.4,
    }


def relabel(rows, index, label, known_at=datetime(2026, 11, 30, tzinfo=UTC)):
    """The same rows, of which one got a new label."""
    changed = rows.to_pylist()
    labels = [*changed[index]["labels"], {"label": label, "known_at": known_at}]
    changed[index] |= {"label": label, "known_at": known_at, "labels": labels}
    return pa.Table.from_pylist(changed, schema=IMAGES)


def stage(project, rows, store, partition="2026-11-02"):
    """Stage rows as ingestion and validation do, in one shard."""
    partition = rows["partition"][0].as_py() if rows.num_rows else partition
    with tempfile.TemporaryDirectory() as scratch:
        shard, validated = Path(scratch) / "shard", Path(scratch) / "validated"
        for folder in (shard, validated):
            folder.mkdir()
        write(shard / BYTES_FILE, rows.select(BYTES), BYTES_SCHEMA)
        write(validated / MANIFEST_FILE, trace(rows), MANIFEST_SCHEMA.append(SHARD))
        quarantine = QUARANTINE_SCHEMA.append(SHARD)
        write(validated / QUARANTINE_FILE, quarantine.empty_table(), quarantine)
        name = f"{project.name}/staging/{partition}/{{}}-{name_rows(validated)[7:23]}"
        (validated / SHARDS_FILE).write_text(json.dumps([name.format("shard-0-of-1")]))
        store.publish_folder(shard, name.format("shard-0-of-1"))
        store.publish_folder(validated, name.format("validated"))
    return ValidationReport(
        project=project.name,
        partition=partition,
        address=name.format("validated"),
        digest=digest_rows(rows),
        seen=rows.num_rows,
        accepted=rows.num_rows,
        duplicates=0,
        quarantined=0,
        success=True,
        data_docs="docs",
    )


def trace(rows):
    """The manifest of rows, with where in the shard their bytes are."""
    places = pa.array(range(rows.num_rows), pa.int64())
    columns = {"place": places, "row": places, "size": pa.array(measure_bytes(rows))}
    manifest = rows.select(MANIFEST_COLUMNS)
    for name, column in columns.items():
        manifest = manifest.append_column(name, column)
    return manifest.append_column(SHARD, pa.array([0] * rows.num_rows, SHARD.type))


def write(path, rows, schema):
    with RowWriter(path, schema) as writer:
        writer.add(rows)
