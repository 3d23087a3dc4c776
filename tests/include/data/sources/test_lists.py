import hashlib

import pytest

from include.data.arrivals import find_complete_batch
from include.data.collection import collect_batch
from include.data.delivery import open_delivery
from include.errors import DataQualityError
from include.project import DataConfig, Project, SourceConfig


@pytest.fixture
def collect(tmp_path, store, loopback):
    """Collect a list of (path, SHA-256, further columns)."""

    def collect(rows, header="url,sha256", **source):
        path = tmp_path / "pets.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        source = SourceConfig(uri=str(path), complete="marker", **source)
        project = Project(name="pets", classes=("cat", "dog"), source=source, data=DataConfig(max_bytes=10_000))
        path.with_name("pets.csv._SUCCESS").touch()
        batch = collect_batch(project, find_complete_batch(project, str(tmp_path), "-"), store, loopback)
        return batch, open_delivery(project, batch, store)

    return collect


def line(server, path, content=None, further=""):
    content = path.partition("?")[2].encode() * 10 if content is None else content
    return f"http://127.0.0.1:{server.server_port}/{path},{hashlib.sha256(content).hexdigest()}{further}"


def test_fetches_what_the_list_says_and_keeps_what_it_says_of_it(server, collect):
    header = "url,sha256,label,group,observed_at,subject"
    rows = [line(server, "file?a", further=",cat,g,2026-11-02T08:00:00Z,s"), line(server, "file?b", further=",,,,")]
    batch, delivery = collect(rows, header)
    first, second = delivery.names
    assert batch.images == 2
    assert [delivery.images.read(name, 100) for name in delivery.names] == [b"a" * 10, b"b" * 10]
    shot = delivery.shots[first]
    assert (shot.observed_at.isoformat(), shot.group, shot.subject) == ("2026-11-02T08:00:00+00:00", "g", "s")
    assert [known.label for known in delivery.labels[first]] == ["cat"]
    assert second not in delivery.labels
    assert delivery.shots[second].group == delivery.source_of(second) == rows[1].partition(",")[0]


def test_every_file_that_cannot_be_had_is_named_with_its_reason(server, collect):
    rows = [
        line(server, "file?a"),
        line(server, "file?b", b"other"),
        line(server, "status?404"),
        line(server, "status?503"),
        line(server, "zeros?20000"),
        line(server, "redirect?http://169.254.169.254/"),
    ]
    batch, delivery = collect(rows)
    assert batch.images == len(delivery.names) == 6
    assert [delivery.refused.get(name, ("",))[0] for name in delivery.names] == [
        "", "bad_checksum", "download_failed", "download_failed", "too_large_bytes", "forbidden_target",
    ]  # fmt: skip


def test_what_is_there_is_not_fetched_again_and_what_failed_is(server, collect):
    rows = [line(server, "file?a")]
    batch, _ = collect(rows)
    server.requests.clear()
    assert collect(rows)[0] == batch
    assert server.requests == []
    rows += [line(server, "flaky?4", b"at last")]
    failed, delivery = collect(rows)
    assert [reason for reason, _ in delivery.refused.values()] == ["download_failed"]
    later, delivery = collect(rows)
    assert delivery.refused == {}
    assert len({batch.collected, failed.collected, later.collected}) == 3


def test_a_list_over_http_is_fetched_by_the_same_rules(server, store, loopback, tmp_path):
    project = Project(
        name="pets",
        classes=("cat", "dog"),
        source=SourceConfig(uri=f"http://127.0.0.1:{server.server_port}/status?404.csv"),
    )
    batch = find_complete_batch(project, str(tmp_path), "-")
    with pytest.raises(DataQualityError, match=r"the list cannot be fetched.*404"):
        collect_batch(project, batch, store, loopback)
    with pytest.raises(DataQualityError, match="no address of the public internet"):
        collect_batch(project, batch, store)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("http://x/a,abc", r"line 2: sha256 'abc' is no SHA-256"),
        (f",{'0' * 64}", r"line 2: url '' is empty"),
        (f"http://x/a,{'0' * 64},x", "line 2: 3 values below 2 names"),
    ],
)
def test_a_broken_list_says_where(collect, row, message):
    with pytest.raises(DataQualityError, match=message):
        collect([row])


def test_a_video_is_fetched_whole_and_becomes_frames(server, collect, make_clip, tmp_path):
    server.clip = make_clip(tmp_path / "made" / "clip.mp4").read_bytes()
    _, delivery = collect([line(server, "clip.mp4", server.clip, ",cat")], "url,sha256,label", frame_seconds=1.0)
    assert [name.rpartition("/")[2] for name in delivery.names] == ["000000000.png", "000001000.png", "000002000.png"]
    assert {known[0].label for known in delivery.labels.values()} == {"cat"}
    assert delivery.source_of(delivery.names[1]).endswith("/clip.mp4#t=1.000")
