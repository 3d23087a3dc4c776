from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.data.sources.folders import open_folder
from include.data.sources.tables import parse_csv, read_table
from include.errors import DataQualityError

MOMENT = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)


def read(folder, required=("file", "label"), optional=("subject",)):
    table = read_table(open_folder(str(folder)), "labels", required, optional)
    return None if table is None else list(table.rows)


def test_reads_the_wanted_columns_in_any_order_and_others_not(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b'\xef\xbb\xbflabel,note,file\r\nyes,x,a.png\r\n\r\n"n,o",y,b.png\r\n')
    assert read(tmp_path) == [(2, ("a.png", "yes", "")), (4, ("b.png", "n,o", ""))]


def test_csv_and_parquet_say_the_same(tmp_path):
    (tmp_path / "csv").mkdir()
    (tmp_path / "parquet").mkdir()
    (tmp_path / "csv" / "labels.csv").write_text("file,label,known_at\na,7,2026-11-02T08:30:00Z\n")
    columns = {"file": ["a"], "label": [7], "known_at": pa.array([MOMENT], pa.timestamp("ns", tz="UTC"))}
    pq.write_table(pa.table(columns), tmp_path / "parquet" / "labels.parquet")
    said = []
    for kind in ("csv", "parquet"):
        table = read_table(open_folder(str(tmp_path / kind)), "labels", ("file", "label", "known_at"))
        [(number, (file, label, at))] = list(table.rows)
        said.append((file, table.read_text(label, number, "label"), table.read_time(at, number, "known_at")))
    assert said == [("a", "7", MOMENT)] * 2


def test_none_is_none_and_two_are_too_many(tmp_path):
    assert read(tmp_path) is None
    (tmp_path / "labels.csv").touch()
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "labels.parquet")
    with pytest.raises(DataQualityError, match=r"both labels\.csv and labels\.parquet"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"labels\.csv, line 1: the header lacks file, label"),
        (b"file,lable\na,b\n", "line 1: the header lacks label"),
        (b"file,label\na,b\nc\n", "line 3: 1 values below 2 names"),
        (b"file,label\na,b,c\n", "line 2: 3 values below 2 names"),
        (b'file,label\n"a,b\n', "line 2: not readable as CSV"),
        (b"file,label\na,\xff\n", "line 2: not UTF-8"),
    ],
)
def test_a_broken_csv_says_where(tmp_path, data, message):
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(DataQualityError, match=message):
        read(tmp_path)


def test_a_broken_parquet_is_refused(tmp_path):
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataQualityError, match="not readable as Parquet"):
        read(tmp_path)
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "labels.parquet")
    with pytest.raises(DataQualityError, match="the header lacks label"):
        read(tmp_path)


def test_a_link_in_its_place_is_refused(tmp_path):
    (tmp_path / "labels.csv").symlink_to("/etc/passwd")
    with pytest.raises(DataQualityError, match="deliver a real file"):
        read(tmp_path)


@pytest.mark.parametrize("value", ["", None, "a\x1fb", "a\x00", "a\x7f", 1.5, True])
def test_a_word_that_is_none_is_refused(value):
    table = parse_csv("x.csv", b"", ())
    with pytest.raises(DataQualityError, match=r"x\.csv, line 3: group .* is empty or holds control characters"):
        table.read_text(value, 3, "group")


@pytest.mark.parametrize("value", ["", None, "yesterday", "2026-13-01", 17])
def test_a_time_that_is_none_is_refused(value):
    with pytest.raises(DataQualityError, match="no ISO 8601 time"):
        parse_csv("x.csv", b"", ()).read_time(value, 3, "known_at")


def test_two_spellings_of_a_place_are_one_name_and_a_way_out_stays_as_it_is():
    table = parse_csv("x.csv", b"", ())
    assert [table.read_name(name, 2) for name in ("./a//b.png", "a/b.png", "x//../a.png", "/a")] == [
        "a/b.png", "a/b.png", "x//../a.png", "/a",
    ]  # fmt: skip
