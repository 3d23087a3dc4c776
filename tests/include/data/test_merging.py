import pyarrow.parquet as pq
import pytest

from include.data.merging import merge_shards, publish_merged
from include.data.staging import read_manifest, read_quarantine
from include.errors import ContractViolationError
from include.vision.schema import MANIFEST_COLUMNS

DAY = "2026-11-02"


def divide(project, shards, **data):
    return project.model_copy(update={"data": project.data.model_copy(update={"shards": shards, **data})})


def names(rows):
    return [source.rsplit("/", 1)[1] for source in rows["source"].to_pylist()]


@pytest.fixture
def day(make_day):
    """Ten digits, of which three came twice, once under another label; a text; a label that no file has."""
    day = make_day(images=10)
    images = day.folder / "images"
    day.add("copy-a.png", (images / "shot-0003.png").read_bytes(), day.labels[3][1])
    day.add("zcopy-b.png", (images / "shot-0004.png").read_bytes(), "0" if day.labels[4][1] != "0" else "1")
    day.add("zcopy-c.png", (images / "shot-0005.png").read_bytes())
    return day.add("text.png", b"text").close()


@pytest.mark.parametrize("shards", [1, 2, 3, 14])
def test_the_number_of_shards_changes_nothing(project, store, day, shards):
    reports = day.ingest(divide(project, shards), store)
    merged = merge_shards(project, reports[::-1], store)
    assert sum(report.seen for report in reports) == 14
    assert (merged.manifest.num_rows, merged.duplicates, merged.quarantine.num_rows) == (10, 3, 1)
    # The first by name stays: copy-a.png, and not what it is a copy of.
    assert names(merged.manifest)[:2] == ["copy-a.png", "shot-0000.png"]
    assert "shot-0003.png" not in names(merged.manifest)
    assert sorted(names(merged.copies)) == ["shot-0003.png", "zcopy-b.png", "zcopy-c.png"]
    assert merged.manifest.column_names == MANIFEST_COLUMNS


@pytest.mark.parametrize("shards", [1, 3])
def test_withdrawn_rows_are_put_aside_with_their_bytes(project, store, day, shards):
    chosen = divide(project, shards, keep_originals=True)
    reports = day.ingest(chosen, store)
    merged = merge_shards(chosen, reports, store)
    source = merged.manifest["source"][4].as_py()
    assert merged.withdraw({}).manifest.equals(merged.manifest)
    less = merged.withdraw({source: ("label_conflict", "two labels")})
    assert (less.manifest.num_rows, less.duplicates, less.quarantine.num_rows) == (9, 3, 2)
    address = publish_merged(chosen, DAY, reports, less, store)
    rows = {row["source"]: row for row in read_quarantine(store, address).to_pylist()}
    assert (rows[source]["reason"], rows[source]["detail"]) == ("label_conflict", "two labels")
    assert rows[source]["original"] == (day.folder / "images" / source.rsplit("/", 1)[1]).read_bytes()
    assert source not in read_manifest(store, address)["source"].to_pylist()


def test_publishing_again_changes_nothing_and_people_find_the_quarantine(project, store, day):
    reports = day.ingest(project, store)
    merged = merge_shards(project, reports, store)
    address = publish_merged(project, DAY, reports, merged, store)
    before = {name: store.read(name) for name in store.list("digits", "*")}
    assert publish_merged(project, DAY, reports, merged, store) == address
    assert {name: store.read(name) for name in store.list("digits", "*")} == before
    with store.open(f"digits/quarantine/{DAY}.parquet") as file:
        (row,) = pq.read_table(file).to_pylist()
    assert (row["source"].rsplit("/", 1)[1], row["reason"]) == ("text.png", "not_an_image")


def test_incomplete_or_mixed_shards_are_refused(project, store, make_day, day):
    reports = day.ingest(project, store)
    other = make_day("2026-11-03", 100, 4).close().ingest(project, store)
    for wrong in ([], reports[:1], [*reports, reports[0]], [reports[0], other[1]]):
        with pytest.raises(ContractViolationError, match="hand over each shard of one delivery once"):
            merge_shards(project, wrong, store)
    with pytest.raises(ContractViolationError, match="were handed to 'parts'"):
        merge_shards(project.model_copy(update={"name": "parts"}), reports, store)
