"""The prediction log: a Parquet row per answered request, per label that came later, and per comparison of two models.

The serving process appends all three; monitoring, evaluation and the judge of rollouts read windows of them.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.errors import ContractViolationError
from include.storage import Store

STATISTICS = ("brightness", "contrast", "sharpness", "entropy", "width", "height")

PREDICTIONS = pa.schema(
    [
        ("request_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("project", pa.string()),
        ("release", pa.string()),
        ("model_version", pa.int64()),
        ("predicted", pa.string()),
        ("confidence", pa.float64()),
        ("probabilities", pa.list_(pa.float64())),
        ("latency_ms", pa.float64()),
        *((name, pa.float64()) for name in STATISTICS),
        ("revision", pa.int64()),  # of the release plan
        ("variant", pa.string()),  # whose turn it was: champion or candidate
        ("answered_by", pa.string()),  # who answered: that one, or a link of the fallback chain
        ("failed", pa.string()),  # why it was not that one
        ("key", pa.string()),  # digest of the caller's key
        ("embedding", pa.list_(pa.float32())),
        ("image", pa.string()),  # address of the image, where it was kept
    ]
)
FEEDBACK = pa.schema(
    [
        ("request_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("project", pa.string()),
        ("label", pa.string()),
    ]
)
COMPARISONS = pa.schema(
    [
        ("request_id", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("project", pa.string()),
        ("revision", pa.int64()),
        *((f"{side}_{name}", kind) for side in ("champion", "other") for name, kind in (
            ("release", pa.string()), ("predicted", pa.string()), ("failed", pa.string()), ("ms", pa.float64()),
        )),
        ("difference", pa.float64()),  # largest absolute difference in probability
    ]
)  # fmt: skip
# Numbers that are all different make dictionaries slow, and the file larger.
REPEATED = ["project", "release", "predicted", "variant", "answered_by"]
SCHEMAS = {"predictions": PREDICTIONS, "feedback": FEEDBACK, "comparisons": COMPARISONS}


def append_rows(store: Store, kind: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Publish log rows of one project and one UTC day as one file, under a name the writer will never use again.

    :param kind: `predictions`, `feedback` or `comparisons`.
    :raises ContractViolationError: the rows are of several projects or days; a reader would miss some.
    """
    if not rows:
        return
    folders = {f"{row['project']}/{kind}/{row['time'].astimezone(UTC):%Y-%m-%d}" for row in rows}
    if len(folders) > 1:
        raise ContractViolationError(f"rows of one file belong to {sorted(folders)}; write one file for each")
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[kind])
    pq.write_table(table, buffer, use_dictionary=REPEATED)
    store.write(f"{folders.pop()}/{name}.parquet", buffer.getvalue())


def read_predictions(store: Store, project: str, start: datetime, end: datetime) -> pa.Table:
    """Read the predictions answered in [start, end), in time order, each request once."""
    table = _read(store, project, "predictions", start, PREDICTIONS)
    inside = pc.and_(pc.greater_equal(table["time"], start), pc.less(table["time"], end))
    return _once(table.filter(inside))


def read_feedback(store: Store, project: str, since: datetime) -> pa.Table:
    """Read the labels received since a moment, the latest of each request."""
    return _once(_read(store, project, "feedback", since, FEEDBACK))


def _read(store: Store, project: str, kind: str, since: datetime, schema: pa.Schema) -> pa.Table:
    first_day = since.astimezone(UTC).strftime("%Y-%m-%d")
    addresses = [a for a in store.list(f"{project}/{kind}", "*.parquet") if a.split("/")[-2] >= first_day]
    tables = [pq.read_table(pa.BufferReader(store.read(address)), schema=schema) for address in addresses]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _once(table: pa.Table) -> pa.Table:
    """Keep the last row of each request; a segment replayed after a crash may have written one twice."""
    table = table.sort_by("time")
    last = {request_id: index for index, request_id in enumerate(table["request_id"].to_pylist())}
    return table.take(pa.array(sorted(last.values()), pa.int64()))
