import io
import os
import resource
import signal
import subprocess
import sys
import tempfile

import numpy as np
import psutil
import pyarrow as pa
import pytest
from PIL import Image

from include.contracts import ShardRef
from include.data.arrivals import find_complete_batch, plan_shards
from include.data.ingestion import ingest_shard
from include.data.staging import BYTES_FILE, COPIES_FILE, MANIFEST_FILE, QUARANTINE_FILE, read_staged
from include.errors import ContractViolationError, TransientError
from include.ledger.erasures import name_subject, refuse_forever
from include.settings import REPOSITORY
from include.storage import Store, digest_bytes
from include.vision.decoding import encode_canonical


def read(store, reports, name):
    return pa.concat_tables([read_staged(store, f"{report.address}/{name}") for report in reports]).sort_by("place")


def count(reports):
    totals = tuple(sum(getattr(r, n) for r in reports) for n in ("seen", "accepted", "duplicates", "quarantined"))
    assert totals[0] == sum(totals[1:])
    return totals


def reasons(store, reports):
    rows = read(store, reports, QUARANTINE_FILE).to_pylist()
    return {row["source"].split("/images/")[1]: row["reason"] for row in rows}


def configure(project, **data):
    return project.model_copy(update={"data": project.data.model_copy(update=data)})


def encode_jpeg(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_accepts_what_is_sound(project, store, make_day, digit_images):
    day = make_day(images=5).close()
    reports = day.ingest(project, store)
    assert count(reports) == (5, 5, 0, 0)
    rows = read(store, reports, MANIFEST_FILE).to_pylist()
    assert [row["source"] for row in rows] == [f"{day.folder}/images/shot-000{number}.png" for number in range(5)]
    assert [row["place"] for row in rows] == [0, 1, 2, 3, 4]
    first, image = rows[0], read_staged(store, f"{reports[0].address}/{BYTES_FILE}")["image"][0].as_py()
    assert first["digest"] == digest_bytes(image)
    assert first["size"] == len(image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image))), digit_images[0][0])
    assert (first["label"], first["partition"], first["group"], first["subject"]) == (
        digit_images[0][1],
        "2026-11-02",
        "specimen-shot-0000.png",
        None,
    )
    assert (first["width"], first["height"], len(first["embedding"])) == (32, 32, 256)
    assert first["observed_at"].isoformat() == "2026-11-02T08:00:00+00:00"


def test_labels_come_later_and_change_and_all_are_kept(project, store, make_day):
    day = make_day(images=2)
    labels, day.labels = day.labels, []
    rows = read(store, day.close().ingest(project, store), MANIFEST_FILE)
    assert (rows["label"].null_count, rows["labels"].to_pylist()) == (2, [[], []])
    day.labels = [*labels, ("shot-0001.png", "7", "2026-11-05T00:00:00Z")]
    rows = read(store, day.close().ingest(project, store), MANIFEST_FILE).to_pylist()
    assert [len(row["labels"]) for row in rows] == [1, 2]
    assert (rows[1]["label"], rows[1]["known_at"].isoformat()) == ("7", "2026-11-05T00:00:00+00:00")
    assert rows[1]["labels"][0]["label"] == labels[1][1]


def test_quarantines_with_a_reason_and_a_digest(project, store, make_day):
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
    rows = {row["source"].rsplit("/", 1)[1]: row for row in read(store, reports, QUARANTINE_FILE).to_pylist()}
    assert rows["b-cut.png"]["digest"] == digest_bytes(sound[:-50])
    assert rows["f-unlisted.png"]["digest"] == digest_bytes(sound)
    assert rows["d-absent.png"]["digest"] is None
    assert "eleven" in rows["e-class.png"]["detail"]


def test_delivered_bytes_are_kept_only_where_the_project_says_so(project, store, make_day, digit_images):
    day = make_day(images=0)
    exif = Image.Exif()
    exif[0x010F] = "serial 4711"
    photograph = encode_jpeg(digit_images[0][0], exif=exif)
    day.add("a.jpg", photograph).add("b.jpg", b"text").add("c.jpg", encode_jpeg(digit_images[1][0])).close()
    kept, dropped = (
        day.ingest(configure(project, formats=("JPEG",), shards=1, keep_originals=keep), store)
        for keep in (True, False)
    )
    rows = read_staged(store, f"{kept[0].address}/{BYTES_FILE}").to_pylist()
    assert [row["original"] for row in rows[:2]] == [photograph, b"text"]
    assert read(store, kept, QUARANTINE_FILE)["row"].to_pylist() == [1]
    assert read(store, kept, MANIFEST_FILE)["row"].to_pylist() == [0, 2]
    assert b"serial 4711" in rows[0]["original"]
    rows = read_staged(store, f"{dropped[0].address}/{BYTES_FILE}").to_pylist()
    assert [row["original"] for row in rows] == [None, None]
    assert read(store, dropped, QUARANTINE_FILE)["row"].to_pylist() == [None]
    for address in store.list(dropped[0].address, "*"):
        assert b"serial 4711" not in store.read(address)


def test_a_huge_file_is_neither_read_nor_kept(project, store, make_day):
    day = make_day(images=2).add("huge.png", b"")
    os.truncate(day.folder / "images" / "huge.png", 1 << 40)
    reports = day.close().ingest(configure(project, keep_originals=True), store)
    (row,) = read(store, reports, QUARANTINE_FILE).to_pylist()
    assert (row["reason"], row["row"], row["size"]) == ("too_large_bytes", None, 0)
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
    assert count(reports)[1] == 2


def test_a_name_that_is_no_unicode_is_quarantined(project, store, make_day):
    day = make_day(images=2)
    (day.folder / "images" / os.fsdecode(b"bad-\xff.png")).write_bytes(b"x")
    assert reasons(store, day.close().ingest(project, store)) == {"bad-\\udcff.png": "unsafe_path"}


def test_a_duplicate_is_counted_once_and_the_first_by_name_stays(project, store, make_day):
    day = make_day(images=2)
    sound = (day.folder / "images" / "shot-0001.png").read_bytes()
    for name in ("shot-0003.png", "shot-0005.png", "shot-0007.png"):
        day.add(name, sound)
    reports = day.close().ingest(configure(project, shards=1), store)
    assert count(reports) == (5, 2, 3, 0)
    assert [row["source"][-8:] for row in read(store, reports, MANIFEST_FILE).to_pylist()] == ["0000.png", "0001.png"]
    assert [row["source"][-8:] for row in read(store, reports, COPIES_FILE).to_pylist()] == [
        "0003.png",
        "0005.png",
        "0007.png",
    ]


def test_a_delivery_without_one_sound_image_is_counted(project, store, make_day):
    day = make_day(images=0)
    for number in range(3):
        day.add(f"{number}.png", b"text")
    reports = day.close().ingest(project, store)
    assert count(reports) == (3, 0, 0, 3)
    assert read(store, reports, MANIFEST_FILE).num_rows == 0


def test_what_was_forgotten_does_not_come_back(project, store, ledger, make_day, digit_images):
    day = make_day(images=3).close()
    digest = read(store, day.ingest(project, store), MANIFEST_FILE)["digest"][1].as_py()
    manifest = [(*row, "ada" if row[0] == "shot-0002.png" else "") for row in day.manifest]
    day._write("manifest.csv", ("file", "observed_at", "group", "subject"), manifest)
    refuse_forever(ledger, "digits", [digest, name_subject("ada")])
    reports = day.ingest(configure(project, keep_originals=True), store)
    assert count(reports) == (3, 1, 0, 2)
    assert reasons(store, reports) == {"shot-0001.png": "forgotten", "shot-0002.png": "forgotten"}
    assert read(store, reports, QUARANTINE_FILE)["row"].null_count == 2
    assert sum(read_staged(store, f"{report.address}/{BYTES_FILE}").num_rows for report in reports) == 1


def test_running_again_gives_the_same_bytes_at_the_same_address(project, store, tmp_path, make_day):
    day = make_day(images=6).add("broken.png", b"text").close()
    first = day.ingest(project, store)
    other = Store(str(tmp_path / "other"))
    assert day.ingest(project, store) == day.ingest(project, other) == first
    addresses = store.list("digits/staging", "*")
    assert addresses == other.list("digits/staging", "*")
    assert all(store.read(address) == other.read(address) for address in addresses)


def test_another_projects_shard_is_refused(project, store, ledger, make_day):
    day = make_day(images=2).close()
    shard = day.ingest(project, store)[0].shard
    with pytest.raises(ContractViolationError, match="handed to project 'parts'"):
        ingest_shard(project.model_copy(update={"name": "parts"}), shard, store, ledger)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this process may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("full", ["scratch", "store"])
def test_a_full_disk_is_told_apart_and_leaves_nothing_to_see(
    project, tmp_path, make_day, small_disk, monkeypatch, full
):
    day = make_day(images=0)
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (500, 500, 3), dtype=np.uint8)
        day.add(f"{number}.png", encode_canonical(noise))
    if full == "scratch":
        monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    store = Store(str(small_disk / "store" if full == "store" else tmp_path / "store"))
    with pytest.raises(TransientError, match=r"no room .*No space left.*free space and try again"):
        day.close().ingest(configure(project, shards=1), store)
    assert store.list("digits", "*") == []
    assert sum(file.stat().st_size for file in small_disk.rglob("*") if file.is_file()) == 0


def test_a_limit_on_file_sizes_is_told_apart(project, store, make_day):
    day = make_day(images=30).close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    batch = find_complete_batch(project, str(day.landing), day.day)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(TransientError, match=r"no room to stage rows \(File too large\)"):
            ingest_shard(project, plan_shards(project, batch)[0], store, day.ledger)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.list("digits", "*") == []


ATTEMPT = """
import sys
from pathlib import Path
from include.contracts import ShardRef
from include.data import ingestion
from include.ledger import Ledger
from include.project import load_project
from include.storage import Store

def tell(add):
    def told(self, decoded):
        add(self, decoded)
        print("staged", flush=True)
    return told

project, shard, store, ledger = sys.argv[1:]
ingestion._ShardWriter.add = tell(ingestion._ShardWriter.add)
ingestion.ingest_shard(load_project(Path(project)), ShardRef.model_validate_json(shard), Store(store), Ledger(ledger))
"""


def test_a_killed_attempt_leaves_nothing_to_see_and_no_process(project, store, ledger_uri, make_day, digit_images):
    day = make_day(images=0)
    for number in range(1500):
        day.add(f"{number:04}.png", encode_canonical(np.roll(digit_images[number % 400][0], number // 400, axis=0)))
    day.close()
    batch = find_complete_batch(project, str(day.landing), day.day)
    shard = ShardRef(batch=batch, index=0, count=1)
    file = REPOSITORY / "include" / "projects" / "digits.yaml"
    command = [sys.executable, "-c", ATTEMPT, file, shard.model_dump_json(), store.root, ledger_uri]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as attempt:
        assert attempt.stdout.readline() == b"staged\n"
        workers = psutil.Process(attempt.pid).children(recursive=True)
        attempt.send_signal(signal.SIGKILL)
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    assert store.list("digits", "*") == []
    assert ingest_shard(project, shard, store, day.ledger).seen == 1500
