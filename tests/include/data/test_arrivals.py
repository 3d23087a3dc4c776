import os
import subprocess
import sys
import time

import obstore
import pytest

from include.contracts import BatchRef
from include.data.arrivals import find_complete_batch, plan_shards
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError
from include.project import Project, SourceConfig
from include.settings import REPOSITORY
from include.storage import open_bucket

DAY = "2026-11-02"


def make_project(**source):
    return Project(name="digits", classes=("0", "1"), source=SourceConfig(**source))


@pytest.fixture(params=["local", "s3"])
def source(request, tmp_path):
    """Give the URI of a place that deliveries come to, and a function that writes there."""
    if request.param == "s3":
        uri = f"{request.getfixturevalue('s3_bucket')}/landing"
        return uri, lambda name, data=b"x": obstore.put(open_bucket(uri), name, data)

    def write(name, data=b"x"):
        path = tmp_path / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    (tmp_path / "landing").mkdir()
    return str(tmp_path / "landing"), write


def test_waits_until_the_marker_is_there(project, source):
    landing, write = source
    assert find_complete_batch(project, landing, DAY) is None
    for name in ("a.png", "b/c.png", ".partial"):
        write(f"digits/{DAY}/images/{name}")
    write(f"digits/{DAY}/manifest.csv")
    assert find_complete_batch(project, landing, DAY) is None
    write(f"digits/{DAY}/_SUCCESS")
    batch = find_complete_batch(project, landing, DAY)
    assert batch == BatchRef(project="digits", partition=DAY, uri=f"{landing}/digits/{DAY}", images=2)


def test_waits_until_there_are_enough_images(source):
    landing, write = source
    project = make_project(uri="cam/{partition}", layout="class_folders", complete="count", count=2)
    write(f"cam/{DAY}/1/a.png")
    write(f"cam/{DAY}/_SUCCESS")
    assert find_complete_batch(project, landing, DAY) is None
    write(f"cam/{DAY}/1/b.png")
    batch = find_complete_batch(project, landing, DAY)
    assert (batch.uri, batch.images) == (f"{landing}/cam/{DAY}", 2)


def test_waits_until_nothing_has_come_for_a_while(source, monkeypatch):
    landing, write = source
    project = make_project(complete="quiet", quiet_seconds=60)
    assert find_complete_batch(project, landing, DAY) is None
    write(f"digits/{DAY}/images/a.png")
    assert find_complete_batch(project, landing, DAY) is None
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert find_complete_batch(project, landing, DAY).images == 1


def test_a_copy_with_old_times_is_not_quiet(landing):
    project = make_project(complete="quiet", quiet_seconds=60)
    image = landing / "digits" / DAY / "images" / "a.png"
    image.parent.mkdir(parents=True)
    image.touch()
    os.utime(image, (1, 1))
    assert find_complete_batch(project, str(landing), DAY) is None


@pytest.mark.parametrize("rule", ["marker", "quiet"])
@pytest.mark.parametrize("name", [f"days/{DAY}.tar.gz", f"days/{DAY}.csv"])
def test_a_single_file_has_its_marker_beside_it(source, monkeypatch, name, rule):
    landing, write = source
    project = make_project(uri=name.replace(DAY, "{partition}"), complete=rule)
    assert find_complete_batch(project, landing, DAY) is None
    write(name)
    assert find_complete_batch(project, landing, DAY) is None
    later = time.time() + 61
    if rule == "marker":
        write(f"{name}._SUCCESS")
    else:
        monkeypatch.setattr(time, "time", lambda: later)
    assert find_complete_batch(project, landing, DAY).uri == f"{landing}/{name}"


@pytest.mark.parametrize("day", [DAY, "snapshot", "None", ""])
def test_a_source_without_days_is_one_partition_whatever_the_day(source, day):
    landing, write = source
    write("flowers/rose/1.png")
    project = make_project(uri=f"{landing}/flowers", layout="class_folders", complete="count")
    batch = find_complete_batch(project, "/nowhere", day)
    assert (batch.partition, batch.uri, batch.images) == ("snapshot", f"{landing}/flowers", 1)


@pytest.mark.parametrize("uri", ["torchvision://FakeData?size=3", "https://example.org/list.csv"])
def test_what_has_no_writer_is_whole_as_it_stands(uri):
    assert find_complete_batch(make_project(uri=uri), "/nowhere", "-").uri == uri


def test_a_missing_landing_folder_is_an_error_that_says_what_to_do(project, tmp_path):
    with pytest.raises(ArtifactNotFoundError, match=r"nowhere.*mkdir -p.*WINDHOVER_LANDING"):
        find_complete_batch(project, str(tmp_path / "nowhere"), DAY)


@pytest.mark.parametrize("uri", ["flowers", "flowers/day={partition}", "flowers/set.zip"])
def test_a_source_elsewhere_that_cannot_come_is_an_error(tmp_path, uri):
    with pytest.raises(ArtifactNotFoundError, match=r"flowers; create it .* or correct source\.uri of project digits"):
        find_complete_batch(make_project(uri=f"file://{tmp_path}/{uri}"), "", DAY)


@pytest.mark.parametrize("partition", ["../secrets", "2026-13-01", "20261102", "2026-11-02/..", "", "snapshot"])
def test_a_partition_that_is_no_day_is_refused(project, landing, partition):
    with pytest.raises(ContractViolationError, match="is no day"):
        find_complete_batch(project, str(landing), partition)


def test_links_are_not_followed(project, landing, make_day, tmp_path):
    folder = make_day(images=2).close().folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataQualityError, match="symbolic link"):
        find_complete_batch(project, str(landing), DAY)


def test_a_link_is_no_marker(project, landing, make_day):
    folder = make_day(images=2).close().folder
    (folder / "_SUCCESS").unlink()
    (folder / "_SUCCESS").symlink_to("manifest.csv")
    assert find_complete_batch(project, str(landing), DAY) is None


def test_an_empty_delivery_is_an_error(project, landing, make_day):
    make_day(images=0).close()
    batch = find_complete_batch(project, str(landing), DAY)
    with pytest.raises(DataQualityError, match=r"2026-11-02 is complete but has no image"):
        plan_shards(project, batch)


@pytest.mark.parametrize(("images", "shards"), [(1, 1), (2, 2), (3, 2)])
def test_plans_no_shard_without_an_image(project, images, shards):
    batch = BatchRef(project="digits", partition=DAY, uri="/x", images=images)
    planned = plan_shards(project, batch)
    assert [(shard.index, shard.count) for shard in planned] == [(index, shards) for index in range(shards)]


def test_imports_nothing_heavy():
    probe = "import sys, include.data.arrivals; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy = {"numpy", "PIL", "pyarrow", "pandas", "lance", "great_expectations", "obstore", "httpcore", "av"}
    assert heavy.isdisjoint(loaded.stdout.split())
