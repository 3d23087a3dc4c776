import pyarrow.parquet as pq
import pytest

from include.data import staging
from include.data.staging import (
    IMAGES,
    MANIFEST_COLUMNS,
    QUARANTINE,
    RowWriter,
    merge_rows,
    publish_file,
    read_manifest,
    read_rows,
)
from include.errors import ArtifactNotFoundError


def refuse(name, reason="empty", original=b""):
    return {"source": name, "digest": None, "reason": reason, "detail": "", "original": original}


@pytest.fixture
def write(store):
    """Write rows to a file of the store; return the writer."""

    def write(address, rows, schema=QUARANTINE):
        path = store.path(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        with RowWriter(path, schema) as writer:
            for row in rows:
                writer.add(row)
        return writer

    return write


def sources(rows):
    return [row["source"] for row in rows]


def test_rows_come_back_as_written_a_group_at_a_time(write, store, monkeypatch):
    monkeypatch.setattr(staging, "CHUNK_ROWS", 4)
    rows = [refuse(f"{number:02d}", original=bytes([number])) for number in range(10)]
    assert write("a", rows).count == 10
    batches = list(read_rows(store, "a"))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert [row for batch in batches for row in batch.to_pylist()] == rows


def test_many_bytes_end_a_group_before_many_rows_do(write, store, monkeypatch):
    monkeypatch.setattr(staging, "CHUNK_BYTES", 100)
    write("a", [refuse(str(number), original=bytes(60)) for number in range(4)])
    assert [batch.num_rows for batch in read_rows(store, "a")] == [2, 2]


def test_the_digest_names_values_in_order_however_they_are_grouped(write, monkeypatch):
    rows = [refuse("a"), refuse("b", "truncated")]
    digest = write("one", rows).digest.digest()
    assert write("backward", rows[::-1]).digest.digest() != digest
    assert write("other", [rows[0], refuse("b", "animated")]).digest.digest() != digest
    assert write("bytes", [rows[0] | {"original": b"named by the column digest"}, rows[1]]).digest.digest() == digest
    monkeypatch.setattr(staging, "CHUNK_ROWS", 1)
    assert write("grouped", rows).digest.digest() == digest


def test_an_empty_file_has_its_columns(write, store):
    write("a", [], IMAGES)
    assert list(read_rows(store, "a")) == []
    manifest = read_manifest(store, "a")
    assert (manifest.num_rows, manifest.column_names) == (0, MANIFEST_COLUMNS)


def test_files_in_order_merge_in_order(write, store):
    write("even", [refuse(name) for name in "acex"])
    write("odd", [refuse(name) for name in "bdfg"])
    write("none", [])
    assert sources(merge_rows(store, ["even", "odd", "none"])) == list("abcdefgx")
    assert list(merge_rows(store, [])) == []


def test_what_is_not_there_says_what_to_run(store):
    with pytest.raises(
        ArtifactNotFoundError, match=r"no staged rows at 'gone'.*ingest and validate the partition again"
    ):
        list(read_rows(store, "gone"))


def test_publishing_a_file_replaces_it_in_one_step(store, tmp_path, write):
    write("digits/quarantine/day.parquet", [refuse("old")])
    with RowWriter(tmp_path / "new", QUARANTINE) as writer:
        writer.add(refuse("new"))
    with pq.ParquetFile(store.path("digits/quarantine/day.parquet")) as reader:
        publish_file(store, tmp_path / "new", "digits/quarantine/day.parquet")
        assert sources(reader.read().to_pylist()) == ["old"]
    assert sources(merge_rows(store, ["digits/quarantine/day.parquet"])) == ["new"]


def test_a_failed_publication_leaves_the_old_file_and_nothing_else(store, tmp_path, write):
    write("digits/quarantine/day.parquet", [refuse("old")])
    with pytest.raises(FileNotFoundError):
        publish_file(store, tmp_path / "gone", "digits/quarantine/day.parquet")
    assert sources(merge_rows(store, ["digits/quarantine/day.parquet"])) == ["old"]
    assert [path.name for path in store.path("digits/quarantine").iterdir()] == ["day.parquet"]
