import errno
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.data import staging
from include.data.merging import merge_shards, publish_merged
from include.data.staging import (
    BYTES_FILE,
    BYTES_SCHEMA,
    QUARANTINE,
    RowWriter,
    read_manifest,
    read_quarantine,
    read_staged,
    reporting_full_disk,
    stream_rows,
)
from include.errors import ArtifactNotFoundError, TransientError
from include.storage import digest_bytes
from include.vision.schema import IMAGES, MANIFEST_COLUMNS


def make_bytes(count, size=60):
    return pa.table(
        {"image": [bytes([number]) * size for number in range(count)], "original": [None] * count}, BYTES_SCHEMA
    )


@pytest.fixture
def stage(project, store, make_day):
    """Stage a day of 12 digits and a file that is none; return the address."""

    def stage(shards, **data):
        chosen = project.model_copy(update={"data": project.data.model_copy(update={"shards": shards, **data})})
        reports = make_day(images=12).add("text.png", b"text").close().ingest(chosen, store)
        return publish_merged(chosen, "2026-11-02", reports, merge_shards(chosen, reports, store), store)

    return stage


@pytest.mark.parametrize("batches", [[10], [1] * 10, [3, 7], [0, 9, 1]])
def test_rows_are_grouped_alike_however_they_come(tmp_path, monkeypatch, batches):
    monkeypatch.setattr(staging, "GROUP_BYTES", 150)
    rows = make_bytes(10)
    with RowWriter(tmp_path / "rows", BYTES_SCHEMA) as writer:
        start = 0
        for count in batches:
            writer.add(rows.slice(start, count))
            start += count
    assert writer.count == 10
    file = pq.ParquetFile(tmp_path / "rows")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [3, 3, 3, 1]
    assert file.read().equals(rows)


def test_many_rows_end_a_group_too(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "GROUP_ROWS", 4)
    with RowWriter(tmp_path / "rows", BYTES_SCHEMA) as writer:
        writer.add(make_bytes(10))
    file = pq.ParquetFile(tmp_path / "rows")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [4, 4, 2]


def test_rows_stream_with_their_bytes_whatever_the_number_of_shards(store, stage, monkeypatch):
    monkeypatch.setattr(staging, "GROUP_BYTES", 1000)
    one, five = (pa.Table.from_batches(stream_rows(store, stage(shards)), IMAGES) for shards in (1, 5))
    assert one.equals(five)
    assert one.num_rows == 12
    assert one["digest"].to_pylist() == [digest_bytes(image) for image in one["image"].to_pylist()]
    assert one["original"].null_count == 12


def test_no_batch_is_larger_than_a_row_group(store, stage, monkeypatch):
    monkeypatch.setattr(staging, "GROUP_BYTES", 1000)
    batches = list(stream_rows(store, stage(2)))
    assert len(batches) > 2
    assert all(sum(map(len, batch["image"].to_pylist()[:-1])) < 1000 for batch in batches)


def test_a_manifest_has_no_bytes_and_lies_in_the_order_of_the_delivery(store, stage):
    manifest = read_manifest(store, stage(3))
    assert manifest.column_names == MANIFEST_COLUMNS
    assert manifest["source"].to_pylist() == sorted(manifest["source"].to_pylist())


@pytest.mark.parametrize(("keep", "original"), [(True, b"text"), (False, None)])
def test_the_quarantine_has_bytes_where_they_are_kept(store, stage, keep, original):
    address = stage(2, keep_originals=keep)
    rows = read_quarantine(store, address)
    assert rows.schema == QUARANTINE
    assert [(row["reason"], row["original"]) for row in rows.to_pylist()] == [("not_an_image", original)]
    kept = pa.Table.from_batches(stream_rows(store, address), IMAGES)["original"]
    assert kept.null_count == (0 if keep else 12)


def test_an_empty_partition_has_its_columns(project, store, make_day):
    reports = make_day(images=0).add("text.png", b"text").close().ingest(project, store)
    address = publish_merged(project, "2026-11-02", reports, merge_shards(project, reports, store), store)
    assert list(stream_rows(store, address)) == []
    assert (read_manifest(store, address).num_rows, read_manifest(store, address).column_names) == (0, MANIFEST_COLUMNS)


def test_what_is_not_there_says_what_to_run(store, stage):
    with pytest.raises(
        ArtifactNotFoundError, match=r"no staged rows at 'gone.*ingest and validate the partition again"
    ):
        read_manifest(store, "gone")
    address = stage(1)
    shard = next(name for name in store.list("digits/staging", BYTES_FILE))
    store.remove(shard.rpartition("/")[0])
    with pytest.raises(ArtifactNotFoundError, match=r"shard-0-of-1.*ingest and validate the partition again"):
        list(stream_rows(store, address))


def test_staged_rows_are_the_same_in_an_object_store(project, any_store, store, make_day):
    day = make_day(images=12).add("text.png", b"text").close()
    found = []
    for place in (store, any_store):
        reports = day.ingest(project, place)
        address = publish_merged(project, day.day, reports, merge_shards(project, reports, place), place)
        found.append(
            (address, pa.Table.from_batches(stream_rows(place, address), IMAGES), read_quarantine(place, address))
        )
    assert found[0] == found[1]
    assert read_staged(any_store, f"{reports[0].address}/{BYTES_FILE}").num_rows == 6


def test_only_a_full_disk_is_taken_for_one(store):
    with pytest.raises(TransientError, match="free space"), reporting_full_disk(store):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    with pytest.raises(PermissionError), reporting_full_disk(store):
        raise PermissionError(errno.EACCES, "Permission denied")
