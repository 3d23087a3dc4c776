"""The prediction log: a Parquet row per answered request, per label that came later, and per comparison of two models.

The serving process appends all three; monitoring, evaluation and the judge of rollouts read windows of them.
"""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.errors import ArtifactNotFoundError, ContractViolationError, ServiceUnavailableError
from include.storage import Store, digest_bytes

STATISTICS = (
    "brightness", "contrast", "sharpness", "noise", "saturation", "red", "green", "blue", "entropy", "width", "height",
)  # fmt: skip

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
        ("format", pa.string()),  # of the file as it was sent, such as PNG; none for bare pixels
        ("bytes", pa.int64()),  # of that file
        ("ood", pa.float64()),  # how far the image lies from what the release was certified on
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
REPEATED = ["project", "release", "predicted", "variant", "answered_by", "format"]
ROW = "row"
# As serving processes name a file, and how long they keep one open while the store is away.
NAMED = re.compile(r"(\d{8}T\d{6})-")
LONGEST = timedelta(hours=1)
# As compaction names one, with its rows; one of as many stays as it is.
JOINED = re.compile(r"/joined-(\d+)-")
MOST_ROWS = 200_000
# Clocks of serving processes may be ahead.
LAST = datetime.max.replace(tzinfo=UTC)
# A reader that lost a race against a compaction lists again; it would have to lose every time.
ATTEMPTS = 10
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
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[kind])
    store.write(f"{folders.pop()}/{name}.parquet", _encode(table))


def read_predictions(store: Store, project: str, start: datetime, end: datetime) -> pa.Table:
    """Read the predictions answered in [start, end), in time order, each request once.

    Columns that the log did not have when a row was written are null.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    table = _read(store, project, "predictions", start, end)
    inside = pc.and_(pc.greater_equal(table["time"], start), pc.less(table["time"], end))
    return _once(table.filter(inside), ["request_id"])


def read_feedback(store: Store, project: str, since: datetime) -> pa.Table:
    """Read the labels received since a moment, the latest of each request; a few that came before may be among them."""
    return _once(_read(store, project, "feedback", since.astimezone(UTC), LAST), ["request_id"])


def compact_closed_days(store: Store, project: str) -> list[str]:
    """Compact the days of a project's log that ended a day ago or longer; return the addresses that were written.

    The serving processes still write to the last day, and rollouts read it.
    """
    limit = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    written = []
    for kind, schema in SCHEMAS.items():
        for day, found in groupby(store.list(f"{project}/{kind}", "*.parquet"), key=_day_of):
            if day < limit:
                written += _compact(store, list(found), schema)
    return written


def compact_log(store: Store, project: str, day: date) -> list[str]:
    """Join the log files of a UTC day that is over into one of each kind; return the addresses that were written.

    A file is removed only after another that holds its rows was written under a name made of its content: a kill, or a
    second process, leaves rows twice and none missing, and readers take each once. What comes late joins the next time.
    A day of very many rows becomes several files, none of which takes much memory to make.

    :raises ContractViolationError: the day is not over.
    """
    if day >= datetime.now(UTC).date():
        raise ContractViolationError(f"{day} is not over in UTC, and is still being logged; compact it tomorrow")
    folders = {f"{project}/{kind}/{day}": schema for kind, schema in SCHEMAS.items()}
    return [one for folder, schema in folders.items() for one in _compact(store, store.list(folder), schema)]


def _compact(store: Store, addresses: Sequence[str], schema: pa.Schema) -> list[str]:
    found = [one for one in addresses if not ((named := JOINED.search(one)) and int(named[1]) >= MOST_ROWS)]
    written: list[str] = []
    try:
        for part, table in _gather(store, found, schema) if len(found) > 1 else ():
            written.append(_publish(store, part, _once(table, ["request_id", "time"])))
    except ArtifactNotFoundError:
        pass  # Another process compacts this day.
    return written


def _gather(store: Store, addresses: Sequence[str], schema: pa.Schema) -> Iterator[tuple[list[str], pa.Table]]:
    """Read files until they hold enough rows for one, and the next ones."""
    part: dict[str, pa.Table] = {}
    rows = 0
    for address in addresses:
        part[address] = _join(store, [address], schema)
        rows += part[address].num_rows
        if rows >= MOST_ROWS or address == addresses[-1]:
            yield [*part], pa.concat_tables(part.values())
            part, rows = {}, 0


def _publish(store: Store, part: Sequence[str], table: pa.Table) -> str:
    """Put one file in the place of several."""
    content = _encode(table)
    name = digest_bytes(content).removeprefix("sha256:")[:16]
    address = f"{part[0].rpartition('/')[0]}/joined-{table.num_rows}-{name}.parquet"
    store.write(address, content)
    store.remove_files([one for one in part if one != address])
    return address


def _read(store: Store, project: str, kind: str, start: datetime, end: datetime) -> pa.Table:
    for _ in range(ATTEMPTS):
        found = _list(store, project, kind, start, end)
        with contextlib.suppress(ArtifactNotFoundError):
            table = _join(store, found, SCHEMAS[kind])
            # A listing takes time, in which files that it has passed may be joined with others that it then misses.
            again = _list(store, project, kind, start, end)
            if {one for one in again if JOINED.search(one)} <= set(found):
                return table
    raise ServiceUnavailableError(
        f"the {kind} of {project} were being joined at each of {ATTEMPTS} readings; read again"
    )


def _list(store: Store, project: str, kind: str, start: datetime, end: datetime) -> list[str]:
    return [one for one in store.list(f"{project}/{kind}", "*.parquet") if _may_hold(one, start, end)]


def _may_hold(address: str, start: datetime, end: datetime) -> bool:
    """Tell by day and name, which begins with the time of the first row, whether a file may hold rows of a window."""
    if not f"{start:%Y-%m-%d}" <= _day_of(address) <= f"{end:%Y-%m-%d}":
        return False
    named = NAMED.match(address.rpartition("/")[2])
    return named is None or named[1] >= f"{start - LONGEST:%Y%m%dT%H%M%S}"


def _day_of(address: str) -> str:
    return address.split("/")[-2]


def _join(store: Store, addresses: Sequence[str], schema: pa.Schema) -> pa.Table:
    # `read_table` would fill the columns that an old file has not, and take three times as long.
    tables = [pq.ParquetFile(pa.BufferReader(store.read(one))).read(use_threads=False) for one in addresses]
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default").select(schema.names)


def _encode(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, use_dictionary=REPEATED)
    return buffer.getvalue()


def _once(table: pa.Table, key: Sequence[str]) -> pa.Table:
    """Keep the last row of each key, in time order; a segment replayed after a crash may have written one twice."""
    table = table.sort_by([("time", "ascending"), ("request_id", "ascending")])
    last = table.select(key).append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
    rows = last.group_by(key).aggregate([(ROW, "max")])[f"{ROW}_max"]
    return table.take(rows.take(pc.sort_indices(rows)))
