"""Tables that come with a delivery, as CSV or Parquet, read line by line with an eye on who wrote them."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any

from include.data.sources.folders import Folder
from include.data.sources.names import UNPRINTABLE, UnfitFileError, is_safe
from include.errors import DataQualityError

_MAX_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Table:
    """Rows of one file, each with its number; a column that is not there has None."""

    place: str
    unit: str
    rows: Iterator[tuple[int, tuple[Any, ...]]]

    def locate(self, number: int, column: str = "") -> str:
        """Say where a value stands."""
        return f"{self.place}, {self.unit} {number}" + (f": {column}" if column else "")

    def read_name(self, value: Any, number: int) -> str:
        """Read a file's name; two spellings of a place are one name."""
        if not value or not isinstance(value, str):
            raise DataQualityError(f"{self.locate(number)}: no file name")
        if is_safe(value):
            return value
        name = PurePosixPath(value).as_posix()
        return name if is_safe(name) else value

    def read_text(self, value: Any, number: int, column: str) -> str:
        """Read a word; a whole number is one, too."""
        text = str(value) if type(value) is int else value
        if text and isinstance(text, str) and not UNPRINTABLE.search(text):
            return text
        raise DataQualityError(f"{self.locate(number, column)} {value!r} is empty or holds control characters")

    def read_time(self, value: Any, number: int, column: str) -> datetime:
        """Read a time; one without a zone is UTC."""
        try:
            time = value if isinstance(value, datetime) else datetime.fromisoformat(value or "")
        except (ValueError, TypeError) as error:
            raise DataQualityError(
                f"{self.locate(number, column)} {value!r} is no ISO 8601 time, such as 2026-11-02T08:30:00Z"
            ) from error
        return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_table(folder: Folder, stem: str, required: Sequence[str], optional: Sequence[str] = ()) -> Table | None:
    """Read `<stem>.csv` or `<stem>.parquet`: the required, then the optional columns. None where neither is there.

    :raises DataQualityError: it cannot be read; says the file and line, while the rows are taken where need be.
    """
    found = {kind: data for kind in ("csv", "parquet") if (data := _read(folder, f"{stem}.{kind}")) is not None}
    if len(found) > 1:
        raise DataQualityError(f"{folder.uri} holds both {stem}.csv and {stem}.parquet; deliver one of them")
    for kind, data in found.items():
        place = f"{folder.uri}/{stem}.{kind}"
        if kind == "csv":
            return parse_csv(place, data, required, optional)
        return Table(place, "row", _parse_parquet(place, data, required, optional))
    return None


def parse_csv(place: str, data: bytes, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read the bytes of a CSV file with a header."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataQualityError(f"{place}, line {line}: not UTF-8; save the file as UTF-8") from error
    return Table(place, "line", _parse_csv(place, text, required, optional))


def _read(folder: Folder, name: str) -> bytes | None:
    try:
        return folder.read(name, _MAX_BYTES)
    except UnfitFileError as error:
        if error.reason == "missing_file":
            return None
        raise DataQualityError(f"{folder.uri}/{name} cannot be read: {error}; deliver a real file") from error


def _parse_csv(
    place: str, text: str, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        pick = itemgetter(*_find_columns(f"{place}, line 1", header, required, optional))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataQualityError(f"{place}, line {reader.line_num}: {len(row)} values below {len(header)} names")
            row.append("")
            yield reader.line_num, pick(row)
    except csv.Error as error:
        raise DataQualityError(f"{place}, line {reader.line_num}: not readable as CSV: {error}") from error


def _parse_parquet(
    place: str, data: bytes, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _find_columns(place, file.schema_arrow.names, required, optional)
        wanted = [*required, *optional]
        number = 0
        for batch in file.iter_batches(columns=[name for name in wanted if name in file.schema_arrow.names]):
            columns = {name: _to_list(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            empty = [None] * batch.num_rows
            for row in zip(*(columns.get(name, empty) for name in wanted), strict=True):
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        raise DataQualityError(f"{place}: not readable as Parquet: {error}") from error


def _to_list(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        # Python knows no nanoseconds.
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _find_columns(where: str, header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> list[int]:
    """Return where each wanted column stands; an optional one that is not there stands past the last."""
    if missing := [name for name in required if name not in header]:
        raise DataQualityError(f"{where}: the header lacks {', '.join(missing)}")
    return [header.index(name) if name in header else len(header) for name in (*required, *optional)]
