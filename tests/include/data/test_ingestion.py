import os
import tracemalloc

import pyarrow.parquet as pq
import pytest

from include.data.ingestion import ingest_shard
from include.data.staging import ACCEPTED, QUARANTINED
from include.errors import ContractViolationError, DataQualityError
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical


def read(store, reports, name):
    rows = [row for report in reports for row in pq.read_table(store.path(f"{report.address}/{name}")).to_pylist()]
    return sorted(rows, key=lambda row: row["source"])


def count(reports):
    totals = tuple(sum(getattr(r, n) for r in reports) for n in ("seen", "accepted", "duplicates", "quarantined"))
    assert totals[0] == sum(totals[1:])
    return totals


def reasons(store, reports):
    return {row["source"].split("/images/")[1]: row["reason"] for row in read(store, reports, QUARANTINED)}


def test_accepts_what_is_sound(project, store, make_day, digit_images):
    reports = make_day(images=5).close().ingest(project, store)
    assert count(reports) == (5, 5, 0, 0)
    first = read(store, reports, ACCEPTED)[0]
    assert first["image"] == encode_canonical(digit_images[0][0])
    assert first["digest"] == digest_bytes(first["image"])
    assert (first["label"], first["partition"], first["group"]) == (
        digit_images[0][1],
        "2026-11-02",
        "specimen-shot-0000.png",
    )
    assert first["source"] == "digits/2026-11-02/images/shot-0000.png"
    assert (first["width"], first["height"]) == (32, 32)
    assert first["captured_at"].isoformat() == "2026-11-02T08:00:00+00:00"


def test_labels_may_come_later(project, store, make_day):
    day = make_day(images=4)
    labels, day.labels = day.labels, []
    assert {row["label"] for row in read(store, day.close().ingest(project, store), ACCEPTED)} == {None}
    day.labels = labels
    assert None not in {row["known_at"] for row in read(store, day.close().ingest(project, store), ACCEPTED)}


def test_quarantines_with_a_reason_and_the_bytes(project, store, make_day):
    day = make_day(images=3)
    sound = (day.folder / "images" / "shot-0000.png").read_bytes()
    day.add("a-text.png", b"text")
    day.add("b-cut.png", sound[:-50])
    day.add("c-empty.png", b"")
    day.add("d-absent.png", None)
    day.add("e-class.png", sound, "eleven")
    (day.folder / "images" / "f-unlisted.png").write_bytes(sound)
    day.labels.append(("g-labelled-only.png", "1", "2026-11-02T20:00:00Z"))
    reports = day.close().ingest(project, store)
    assert count(reports) == (10, 3, 0, 7)
    assert reasons(store, reports) == {
        "a-text.png": "not_an_image",
        "b-cut.png": "truncated",
        "c-empty.png": "empty",
        "d-absent.png": "missing_file",
        "e-class.png": "unknown_class",
        "f-unlisted.png": "missing_from_manifest",
        "g-labelled-only.png": "missing_file",
    }
    rows = {row["source"].rsplit("/", 1)[1]: row for row in read(store, reports, QUARANTINED)}
    assert rows["b-cut.png"]["original"] == sound[:-50]
    assert rows["b-cut.png"]["digest"] == digest_bytes(sound[:-50])
    assert rows["d-absent.png"]["original"] is None
    assert "eleven" in rows["e-class.png"]["detail"]


def test_a_huge_file_is_neither_read_nor_kept(project, store, make_day):
    day = make_day(images=2).add("huge.png", b"")
    os.truncate(day.folder / "images" / "huge.png", 1 << 40)
    reports = day.close().ingest(project, store)
    row = next(row for row in read(store, reports, QUARANTINED))
    assert row["reason"] == "too_large_bytes"
    assert row["original"] is None
    assert str(1 << 40) in row["detail"]


def test_no_path_leads_out_of_the_delivery(project, store, make_day, tmp_path):
    secret = tmp_path / "secret.png"
    day = make_day(images=2)
    images = day.folder / "images"
    sound = (images / "shot-0000.png").read_bytes()
    secret.write_bytes(sound)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "one.png").write_bytes(sound)
    (images / "link.png").symlink_to(secret)
    (images / "album").symlink_to(tmp_path / "album")
    os.mkfifo(images / "pipe.png")
    (images / "folder.png").mkdir()
    for name in ("link.png", "album/one.png", "pipe.png", "folder.png", "../../../../secret.png", str(secret)):
        day.add(name, None)
    reports = day.close().ingest(project, store)
    assert set(reasons(store, reports).values()) == {"unsafe_path"}
    assert count(reports) == (9, 2, 0, 7)
    assert all(row["original"] is None for row in read(store, reports, QUARANTINED))


def test_a_name_that_is_no_unicode_is_quarantined(project, store, make_day):
    day = make_day(images=2)
    (day.folder / "images" / os.fsdecode(b"bad-\xff.png")).write_bytes(b"x")
    reports = day.close().ingest(project, store)
    assert reasons(store, reports) == {"bad-\\udcff.png": "unsafe_path"}


def test_images_in_subfolders_count(project, store, make_day, digit_images):
    day = make_day(images=2).add("left/one.png", encode_canonical(digit_images[50][0]), "1")
    assert count(day.close().ingest(project, store)) == (3, 3, 0, 0)


def test_a_duplicate_is_counted_once_and_the_first_by_name_stays(project, store, make_day):
    day = make_day(images=2)
    sound = (day.folder / "images" / "shot-0001.png").read_bytes()
    for name in ("shot-0003.png", "shot-0005.png", "shot-0007.png"):
        day.add(name, sound)
    one_shard = project.model_copy(update={"data": project.data.model_copy(update={"shards": 1})})
    reports = day.close().ingest(one_shard, store)
    assert count(reports) == (5, 2, 3, 0)
    assert [row["source"][-8:] for row in read(store, reports, ACCEPTED)] == ["0000.png", "0001.png"]


def test_running_again_gives_the_same_bytes_at_the_same_address(project, store, make_day):
    day = make_day(images=6).add("broken.png", b"text").close()
    first = day.ingest(project, store)
    before = {address: store.read(address) for address in store.list("digits/staging")}
    assert day.ingest(project, store) == first
    assert {address: store.read(address) for address in store.list("digits/staging")} == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("manifest.csv", b"", r"line 1: the header lacks captured_at, file, group", id="empty"),
        pytest.param("manifest.csv", b"file,group\na,b\n", r"manifest.csv, line 1: .*captured_at", id="column"),
        pytest.param(
            "manifest.csv",
            b"file,captured_at,group\na,2026-11-02,g\na,2026-11-02,g\n",
            r"line 3: 'a' is listed already in line 2",
            id="twice",
        ),
        pytest.param("manifest.csv", b"file,captured_at,group\na,noon,g\n", r"line 2: captured_at 'noon'", id="time"),
        pytest.param("manifest.csv", b"file,captured_at,group\na,2026-11-02\n", r"line 2: group None", id="short-line"),
        pytest.param("manifest.csv", b"file,captured_at,group\na,2026-11-02,\n", r"line 2: group ''", id="no-group"),
        pytest.param("manifest.csv", b"file,captured_at,group\n,2026-11-02,g\n", r"line 2: no file name", id="no-name"),
        pytest.param("manifest.csv", b'file,captured_at,group\n"a,b\n', r"line 2: not readable as CSV", id="quote"),
        pytest.param("manifest.csv", b"file,captured_at,group\n\xe4,x,g", r"line 2: not UTF-8", id="latin"),
        pytest.param("manifest.csv", "file,captured_at,group".encode("utf-16"), r"line 1: not UTF-8", id="utf-16"),
        pytest.param("labels.csv", b"file,label\na,1\n", r"labels.csv, line 1: the header lacks known_at", id="labels"),
        pytest.param(
            "labels.csv", b"file,label,known_at\na,,2026-11-02\n", r"labels.csv, line 2: label ''", id="no-label"
        ),
    ],
)
def test_a_malformed_list_names_file_and_line(project, store, make_day, name, content, message):
    day = make_day(images=2).close()
    (day.folder / name).write_bytes(content)
    with pytest.raises(DataQualityError, match=message):
        day.ingest(project, store)


def test_a_missing_manifest_is_named(project, store, make_day):
    day = make_day(images=2).close()
    (day.folder / "manifest.csv").unlink()
    with pytest.raises(DataQualityError, match=r"no file .*manifest\.csv"):
        day.ingest(project, store)


@pytest.mark.parametrize("name", ["manifest.csv", "labels.csv"])
def test_a_linked_list_is_refused(project, store, make_day, tmp_path, name):
    day = make_day(images=2).close()
    (day.folder / name).rename(tmp_path / name)
    (day.folder / name).symlink_to(tmp_path / name)
    with pytest.raises(DataQualityError, match="symbolic link"):
        day.ingest(project, store)


def test_a_spreadsheets_byte_order_mark_does_no_harm(project, store, make_day):
    day = make_day(images=2).close()
    path = day.folder / "manifest.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert count(day.ingest(project, store)) == (2, 2, 0, 0)


def test_another_projects_shard_is_refused(project, store, make_day):
    day = make_day(images=2).close()
    shard = day.ingest(project, store)[0].shard
    with pytest.raises(ContractViolationError, match="handed to project 'parts'"):
        ingest_shard(project.model_copy(update={"name": "parts"}), shard, day.landing, store)


def test_memory_stays_flat(project, store, landing, make_day):
    day = make_day(images=0)
    for index in range(60):
        day.add(f"{index}.bin", index.to_bytes(2, "big") + os.urandom(1_000_000))
    one_shard = project.model_copy(update={"data": project.data.model_copy(update={"shards": 1})})
    day.close()
    tracemalloc.start()
    reports = day.ingest(one_shard, store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count(reports) == (60, 0, 0, 60)
    assert peak < 25_000_000
