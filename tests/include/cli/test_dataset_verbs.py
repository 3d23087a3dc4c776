import json

import pytest

from include.storage import digest_bytes, open_bucket
from tests.include.cli.test_verbs import complaint

DAY, NEXT = "2026-11-02", "2026-11-03"


def report(ended):
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


@pytest.fixture
def versions(machine, invoke):
    """Two dataset versions: one day, and two."""
    machine.deliver(DAY, images=12)
    machine.deliver(NEXT, first=12, images=8)
    return [report(invoke("ingest", "--day", day, "--json")) for day in (DAY, NEXT)]


def test_two_versions_are_compared(versions, invoke):
    numbers = [version["version"] for version in versions]
    found = report(invoke("diff", *numbers, "--json"))
    assert (len(found["added"]), found["removed"], found["relabelled"]) == (8, [], {})
    assert len(report(invoke("diff", *reversed(numbers), "--json"))["removed"]) == 8


def test_a_version_that_is_not_there_names_those_that_are(versions, invoke):
    line = complaint(invoke("diff", 1, 99), 2)
    published = ", ".join(str(version["version"]) for version in reversed(versions))
    assert f"no dataset version 1; published: {published}" in line


def test_a_version_is_exported_with_one_folder_a_class(versions, invoke, tmp_path):
    exported = report(invoke("export", tmp_path / "all", "--json"))
    assert exported["dataset"]["digest"] == versions[1]["digest"]
    assert len(list((tmp_path / "all").rglob("*.png"))) == 20
    first = versions[0]["version"]
    report(invoke("export", tmp_path / "first", "--version", first, "--json"))
    assert len(list((tmp_path / "first").rglob("*.png"))) == 12
    then = report(invoke("export", tmp_path / "then", "--as-of", f"{DAY}T23:00:00", "--json"))
    assert (then["dataset"]["images"], then["dataset"]["labelled"]) == (12, 0)


def test_an_image_is_traced_from_its_file_and_its_digest(versions, machine, invoke):
    source = str(machine.landing / machine.project / DAY / "images" / "shot-0003.png")
    (traced,) = report(invoke("trace", "--source", source, "--json"))["images"]
    assert traced["versions"] == [version["version"] for version in versions]
    assert report(invoke("trace", "--image", traced["image"], "--json")) == traced


@pytest.mark.parametrize("words", [(), ("--image", "x", "--source", "y")])
def test_a_trace_starts_at_one_end(invoke, words):
    assert "exactly one of --image, --source and --request" in complaint(invoke("trace", *words), 2)


def test_a_failed_day_is_released_by_somebody_with_a_reason(machine, invoke):
    machine.write_project(data={"max_quarantined": 0.0})
    (machine.deliver(DAY, images=12) / "images" / "shot-0001.png").write_bytes(b"no image")
    assert "quarantine" in complaint(invoke("ingest", "--day", DAY), 2)
    released = report(invoke("release", "--day", DAY, "--reason", "known lens cap", "--by", "admin", "--json"))
    assert (released["partition"], released["quarantined"]) == (DAY, 1)
    assert report(invoke("ingest", "--day", DAY, "--json"))["images"] == 11


def test_what_was_put_aside_is_listed_and_its_bytes_are_written_where_they_are_kept(machine, invoke, tmp_path):
    machine.write_project(data={"keep_originals": True})
    (machine.deliver(DAY, images=12) / "images" / "shot-0001.png").write_bytes(b"no image")
    assert "never validated" in complaint(invoke("quarantine", "--day", DAY), 2)
    report(invoke("ingest", "--day", DAY, "--json"))
    (file,) = report(invoke("quarantine", "--day", DAY, "--to", tmp_path / "aside", "--json"))["files"]
    assert (file["reason"], file["digest"]) == ("not_an_image", digest_bytes(b"no image"))
    assert (tmp_path / "aside" / file["digest"].removeprefix("sha256:")).read_bytes() == b"no image"


def test_a_day_that_did_not_fail_cannot_be_released(versions, invoke):
    assert "nothing was released" in complaint(invoke("release", "--day", DAY, "--reason", "x", "--by", "admin"), 2)


def test_a_forgotten_image_does_not_come_back_with_its_file(versions, machine, invoke):
    source = str(machine.landing / machine.project / DAY / "images" / "shot-0003.png")
    (traced,) = report(invoke("trace", "--source", source, "--json"))["images"]
    words = ("--image", traced["image"], "--reason", "asked to", "--by", "admin", "--json")
    receipt = report(invoke("forget", *words))
    assert receipt["sources"] == [source]
    assert receipt["versions"]
    again = report(invoke("ingest", "--day", DAY, "--json"))
    assert (again["images"], again["version"]) == (19, receipt["version"])


def test_what_is_no_digest_is_not_forgotten(machine, invoke):
    line = complaint(invoke("forget", "--image", "shot-0003.png", "--reason", "x", "--by", "admin"), 2)
    assert "64 hexadecimal digits" in line


def test_an_image_nobody_has_is_refused_from_now_on(machine, invoke):
    words = ("--image", digest_bytes(b"x"), "--reason", "asked to", "--by", "admin", "--json")
    receipt = report(invoke("forget", *words))
    assert receipt["versions"] == []
    assert receipt["summary"].startswith("nothing was found")


def test_compacting_changes_no_content(versions, invoke, tmp_path):
    compacted = report(invoke("compact", "--json"))
    assert compacted["removed"] == []
    exported = report(invoke("export", tmp_path / "all", "--json"))["dataset"]
    assert (exported["version"], exported["digest"]) == (compacted["version"], versions[1]["digest"])


def test_the_suite_is_written_once_and_then_belongs_to_people(machine, invoke):
    path = machine.projects / "expectations" / f"{machine.project}.yaml"
    assert report(invoke("suite", "--json")) == {"suite": str(path)}
    path.write_text(path.read_text() + "# ours\n")
    invoke("suite")
    assert path.read_text().endswith("# ours\n")


def test_everything_may_lie_in_an_object_store(machine, invoke, monkeypatch, s3_bucket, tmp_path):
    delivered = machine.deliver(DAY, images=12)
    bucket = open_bucket(s3_bucket)
    for path in delivered.rglob("*"):
        if path.is_file():
            bucket.put(f"landing/{path.relative_to(machine.landing).as_posix()}", path.read_bytes())
    local = report(invoke("ingest", "--day", DAY, "--json"))
    monkeypatch.setenv("WINDHOVER_STORE", f"{s3_bucket}/store")
    monkeypatch.setenv("WINDHOVER_LANDING", f"{s3_bucket}/landing")
    remote = report(invoke("ingest", "--day", DAY, "--json"))
    assert (remote["digest"], remote["images"]) == (local["digest"], 12)
    assert not list((tmp_path / "store").rglob("*s3*"))
    report(invoke("export", tmp_path / "all", "--json"))
    assert len(list((tmp_path / "all").rglob("*.png"))) == 12
