import os
import pickle
from datetime import UTC, datetime

import obstore
import pytest

from include.contracts import BatchRef
from include.data.arrivals import find_complete_batch
from include.data.delivery import UnfitFileError, open_delivery
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import Project, SourceConfig
from include.storage import open_bucket

DAY = "2026-11-02"


def make_project(**source):
    return Project(name="digits", classes=("0", "1"), source=SourceConfig(**source))


@pytest.fixture
def day(make_day):
    return make_day(images=2)


@pytest.fixture
def open_day(project, landing, store):
    return lambda: open_delivery(project, find_complete_batch(project, str(landing), DAY), store)


def test_opens_what_the_camera_drops(day, open_day):
    (day.folder / "images" / "unlisted.png").write_bytes(b"x")
    day.add("absent.png", None).close()
    delivery = open_day()
    assert delivery.names == ("absent.png", "shot-0000.png", "shot-0001.png", "unlisted.png")
    assert set(delivery.shots) == set(delivery.names) - {"unlisted.png"}
    assert set(delivery.labels) == {"shot-0000.png", "shot-0001.png"}
    assert delivery.source_of("unlisted.png") == f"{day.folder}/images/unlisted.png"
    assert delivery.refused == {}


def test_a_worker_in_another_process_reads_the_same(day, open_day):
    day.close()
    delivery = open_day()
    copy = pickle.loads(pickle.dumps(delivery))  # noqa: S301 (our own bytes)
    assert copy == delivery
    assert copy.images.read("shot-0000.png", 10_000) == (day.folder / "images" / "shot-0000.png").read_bytes()
    assert len(pickle.dumps(delivery.images)) < 300


def test_what_is_no_regular_file_inside_is_refused_with_its_reason(day, open_day):
    day.add("gone.png", None).add("../manifest.csv", None).add("ten.bin", bytes(10)).close()
    (day.folder / "images" / "link.png").symlink_to("/etc/passwd")
    delivery = open_day()
    expected = {
        "gone.png": "missing_file",
        "../manifest.csv": "unsafe_path",
        "link.png": "unsafe_path",
        "ten.bin": "too_large_bytes",
    }
    for name, reason in expected.items():
        assert name in delivery.names
        with pytest.raises(UnfitFileError) as raised:
            delivery.images.read(name, 9)
        assert raised.value.reason == reason
        assert pickle.loads(pickle.dumps(raised.value)).reason == reason  # noqa: S301 (our own bytes)


@pytest.mark.parametrize("uri", ["cam/{partition}", "cam"])
def test_a_class_folders_file_was_observed_with_its_day_or_when_it_was_made(uri, landing, store):
    project = make_project(uri=uri, layout="class_folders", complete="count")
    folder = landing / uri.replace("{partition}", DAY)
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "a.png").touch()
    (folder / "_SUCCESS").touch()
    os.utime(folder / "0" / "a.png", (1_000_000_000, 1_000_000_000))
    delivery = open_delivery(project, find_complete_batch(project, str(landing), DAY), store)
    assert delivery.names == ("0/a.png",)
    assert delivery.shots["0/a.png"].observed_at == (
        datetime(2026, 11, 2, 23, 59, 59, 999_999, UTC) if "{" in uri else datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    )


def test_an_object_store_is_read_like_a_folder(project, day, landing, store, s3_bucket):
    day.close()
    for path in day.folder.rglob("*"):
        if path.is_file():
            obstore.put(open_bucket(s3_bucket), path.relative_to(landing).as_posix(), path.read_bytes())
    local, remote = (
        open_delivery(project, find_complete_batch(project, place, DAY), store) for place in (str(landing), s3_bucket)
    )
    assert (remote.names, remote.shots, remote.labels) == (local.names, local.shots, local.labels)
    assert [remote.images.read(name, 10_000) for name in remote.names] == [
        local.images.read(name, 10_000) for name in local.names
    ]
    assert remote.source_of("shot-0000.png") == f"{s3_bucket}/digits/{DAY}/images/shot-0000.png"


def test_what_was_not_collected_is_not_read(store):
    project = make_project(uri="a.zip")
    batch = BatchRef(project="digits", partition="snapshot", uri="/landing/a.zip", images=0)
    with pytest.raises(ContractViolationError, match="collect the batch"):
        open_delivery(project, batch, store)
    gone = batch.model_copy(update={"collected": "digits/collected/snapshot/0123456789abcdef"})
    with pytest.raises(ArtifactNotFoundError, match="collect snapshot again"):
        open_delivery(project, gone, store)
