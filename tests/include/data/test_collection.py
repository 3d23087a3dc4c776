import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest

from include.data.arrivals import find_complete_batch, plan_shards
from include.data.collection import collect_batch
from include.data.delivery import open_delivery
from include.errors import DataQualityError
from include.project import Project, SourceConfig
from include.storage import open_bucket

DAY = "2026-11-02"


def make_project(uri, layout="class_folders"):
    return Project(name="pets", classes=("cat", "dog"), source=SourceConfig(uri=uri, layout=layout))


def make_zip(*names, manifest=None):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, (2020, 5, 17, 12, 0, 0)), name)
        if manifest:
            archive.writestr("manifest.csv", manifest)
    return data.getvalue()


def collect(project, landing, store, day=DAY):
    batch = collect_batch(project, find_complete_batch(project, str(landing), day), store)
    return batch, open_delivery(project, batch, store)


def deliver(landing, name, data):
    (landing / name).write_bytes(data)
    (landing / f"{name}._SUCCESS").touch()


def test_a_plain_folder_passes_through(project, landing, make_day, store):
    make_day(images=3).close()
    batch = find_complete_batch(project, str(landing), DAY)
    assert collect_batch(project, batch, store) is batch


def test_an_archive_becomes_a_folder_in_any_store(landing, any_store):
    deliver(landing, f"{DAY}.zip", make_zip("cat/1.png", "dog/2.png"))
    batch, delivery = collect(make_project("{partition}.zip"), landing, any_store)
    assert batch.images == len(plan_shards(make_project("{partition}.zip"), batch)) == 2
    assert delivery.names == ("cat/1.png", "dog/2.png")
    assert delivery.images.read("dog/2.png", 100) == b"dog/2.png"
    assert delivery.source_of("dog/2.png") == f"{landing}/{DAY}.zip/dog/2.png"
    assert {shot.observed_at.isoformat() for shot in delivery.shots.values()} == {f"{DAY}T23:59:59.999999+00:00"}


def test_an_archive_in_an_object_store_is_read_there(store, s3_bucket):
    for name, data in (("a.zip", make_zip("cat/1.png")), ("a.zip._SUCCESS", b"")):
        obstore.put(open_bucket(s3_bucket), name, data)
    _, delivery = collect(make_project(f"{s3_bucket}/a.zip"), "", store)
    assert delivery.images.read("cat/1.png", 100) == b"cat/1.png"


@pytest.mark.parametrize("names", [("pets/cat/1.png", "pets/dog/2.png"), ("cat/1.png", "dog/2.png")])
def test_the_folder_that_an_archive_is_wrapped_in_means_nothing(names, landing, store):
    deliver(landing, "pets.zip", make_zip(*names))
    batch, delivery = collect(make_project("pets.zip"), landing, store)
    assert batch.partition == "snapshot"
    assert {name: known[0].label for name, known in delivery.labels.items()} == {"cat/1.png": "cat", "dog/2.png": "dog"}
    assert {shot.observed_at.isoformat() for shot in delivery.shots.values()} == {"2020-05-17T12:00:00+00:00"}


def test_the_folder_of_the_only_class_means_something(landing, store):
    deliver(landing, "pets.zip", make_zip("cat/1.png", "cat/2.png"))
    assert collect(make_project("pets.zip"), landing, store)[1].names == ("cat/1.png", "cat/2.png")


def test_an_archive_may_hold_a_manifest(landing, store):
    manifest = "file,observed_at,group\n1.png,2026-11-02T08:00:00Z,g\n"
    deliver(landing, "pets.zip", make_zip("images/1.png", manifest=manifest))
    _, delivery = collect(make_project("pets.zip", "manifest"), landing, store)
    assert delivery.shots["1.png"].group == "g"
    assert delivery.source_of("1.png") == f"{landing}/pets.zip/images/1.png"


def test_the_same_bytes_are_collected_once_and_others_anew(landing, store):
    deliver(landing, "pets.zip", make_zip("cat/1.png"))
    first, _ = collect(make_project("pets.zip"), landing, store)
    written = {path: path.stat().st_mtime_ns for path in (landing.parent / "store").rglob("*")}
    deliver(landing, "pets.zip", make_zip("cat/1.png"))
    assert collect(make_project("pets.zip"), landing, store)[0] == first
    assert {path: path.stat().st_mtime_ns for path in (landing.parent / "store").rglob("*")} == written
    deliver(landing, "pets.zip", make_zip("cat/1.png", "cat/2.png"))
    second, delivery = collect(make_project("pets.zip"), landing, store)
    assert second.collected != first.collected
    assert len(delivery.names) == 2


def test_two_at_once_collect_the_same(landing, store):
    deliver(landing, "pets.zip", make_zip(*(f"cat/{number}.png" for number in range(200))))
    project = make_project("pets.zip")
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: collect(project, landing, store)[0], range(8)))
    assert len(set(batches)) == 1


def test_nothing_of_a_bad_archive_is_kept(landing, store):
    deliver(landing, "pets.zip", make_zip("cat/1.png", "../evil.png"))
    with pytest.raises(DataQualityError, match=r"pets\.zip.*\.\./evil\.png"):
        collect(make_project("pets.zip"), landing, store)
    assert store.list("") == []
    assert sorted(path.name for path in landing.iterdir()) == ["pets.zip", "pets.zip._SUCCESS"]
