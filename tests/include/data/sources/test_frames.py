import io
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from include.data.arrivals import find_complete_batch, plan_shards
from include.data.collection import collect_batch
from include.data.delivery import open_delivery
from include.data.ingestion import ingest_shard
from include.data.sources import frames
from include.data.sources.frames import expand_clips, sample_frames
from include.data.sources.names import UnfitFileError
from include.data.staging import read_manifest
from include.data.validation import validate_partition
from include.project import Project, SourceConfig


def refusal(path, tmp_path, frame_seconds=1.0, max_pixels=10_000):
    with pytest.raises(UnfitFileError) as raised:
        sample_frames(path, tmp_path / "out", frame_seconds, max_pixels)
    return raised.value.reason


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mpeg4"), ("b.AVI", "mpeg4"), ("c.mkv", "mpeg4"), ("d.webm", "libvpx")]
)
def test_takes_a_frame_every_so_often(name, codec, make_clip, tmp_path):
    path = tmp_path / name
    make_clip(path.with_suffix(path.suffix.lower()), frames=30, rate=10, codec=codec).rename(path)
    sample_frames(path, tmp_path / "out", 0.5, 10_000)
    taken = sorted(tmp_path.glob("out/*.png"))
    assert [int(frame.stem) for frame in taken] == [0, 500, 1000, 1500, 2000, 2500]
    greys = [np.asarray(Image.open(frame)).mean() for frame in taken]
    assert greys == sorted(greys)
    assert greys[-1] - greys[0] > 150


def test_two_runs_give_the_same_bytes(make_clip, tmp_path):
    path = make_clip(tmp_path / "a.mp4")
    for run in ("one", "two"):
        sample_frames(path, tmp_path / run, 1.0, 10_000)
    one, two = ([frame.read_bytes() for frame in sorted(tmp_path.glob(f"{run}/*"))] for run in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    "content", [b"", b"nonsense" * 1000, b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"ffconcat version 1.0\n"]
)
def test_what_is_no_video_is_damaged(content, tmp_path):
    (tmp_path / "a.mp4").write_bytes(content)
    assert refusal(tmp_path / "a.mp4", tmp_path) == "truncated"


def test_a_file_of_sound_holds_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    assert refusal(tmp_path / "a.mp4", tmp_path) == "not_an_image"


def test_a_video_cut_short_is_refused_whole(make_clip, tmp_path):
    data = make_clip(tmp_path / "a.mkv", frames=100).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    assert refusal(tmp_path / "cut.mkv", tmp_path) == "truncated"


@pytest.mark.parametrize(
    ("limits", "max_pixels"), [({}, 64 * 48 - 1), ({"MAX_FRAMES": 4}, 10_000), ({"MAX_CLIP_SECONDS": 4}, 10_000)]
)
def test_what_the_container_says_is_held_against_the_limits(limits, max_pixels, make_clip, tmp_path, monkeypatch):
    for name, value in limits.items():
        monkeypatch.setattr(frames, name, value)
    path = make_clip(tmp_path / "a.mp4", frames=50)
    assert refusal(path, tmp_path, max_pixels=max_pixels) == "too_many_pixels"
    assert list(tmp_path.glob("out/*")) == []


def test_a_good_clip_becomes_frames_and_a_bad_one_stays(make_clip, tmp_path):
    folder = tmp_path / "content"
    make_clip(folder / "cat" / "good.mp4", frames=20)
    (folder / "bad.mp4").write_bytes(b"nonsense")
    (folder / "image.png").write_bytes(b"x")
    clips, refused = expand_clips(folder, 1.0, 10_000)
    assert clips == ["cat/good.mp4"]
    assert {name: reason for name, (reason, _) in refused.items()} == {"bad.mp4": "truncated"}
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["bad.mp4", "cat/good.mp4/000000000.png", "cat/good.mp4/000001000.png", "image.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["content"]


def test_a_decoder_that_hangs_or_dies_is_survived(make_clip, tmp_path, monkeypatch):
    make_clip(tmp_path / "content" / "a.mp4")
    monkeypatch.setattr(frames, "DECODE_SECONDS", 0.05)
    assert expand_clips(tmp_path / "content", 1.0, 10_000)[1]["a.mp4"][0] == "decoder_timeout"
    monkeypatch.setattr(frames, "DECODE_SECONDS", 60)
    monkeypatch.setattr(frames.sys, "executable", shutil.which("false"))
    assert expand_clips(tmp_path / "content", 1.0, 10_000)[1]["a.mp4"][0] == "decoder_crashed"


@pytest.mark.parametrize("layout", ["class_folders", "manifest"])
def test_the_images_of_a_folder_stay_there_and_its_videos_become_frames(layout, make_clip, make_image, store, tmp_path):
    root = tmp_path / "pets"
    images = root / "images" if layout == "manifest" else root
    make_clip(images / "cat" / "a.mp4", frames=20)
    (images / "cat" / "b.mp4").symlink_to("a.mp4")
    (images / "cat" / "1.png").write_bytes(make_image())
    (images / "dog").mkdir()
    (images / "dog" / "bad.mov").write_bytes(b"nonsense")
    (root / "manifest.csv").write_text("file,observed_at,group\ncat/a.mp4,2026-11-02,\ncat/1.png,2026-11-02,g\n")
    (root / "labels.csv").write_text("file,label,known_at\ncat/a.mp4,cat,2026-11-02\n")
    if layout == "class_folders":
        (root / "manifest.csv").unlink()
        (root / "labels.csv").unlink()
    source = SourceConfig(uri=str(root), layout=layout, complete="count", frame_seconds=1.0)
    project = Project(name="pets", classes=("cat", "dog"), source=source)
    batch = collect_batch(project, find_complete_batch(project, "", "-"), store)
    assert batch == collect_batch(project, batch, store)
    delivery = open_delivery(project, batch, store)
    taken = ["cat/a.mp4/000000000.png", "cat/a.mp4/000001000.png"]
    assert list(delivery.names) == ["cat/1.png", *taken, "cat/b.mp4", "dog/bad.mov"]
    assert batch.images == 5
    assert {delivery.shots[name].group for name in taken} == {"cat/a.mp4"}
    assert {delivery.labels[name][0].label for name in taken} == {"cat"}
    first, second = (delivery.shots[name].observed_at for name in taken)
    assert all(delivery.labels[name][0].known_at >= delivery.shots[name].observed_at for name in taken)
    assert (second - first).total_seconds() == 1.0
    assert delivery.source_of(taken[1]) == f"{images}/cat/a.mp4#t=1.000"
    with Image.open(io.BytesIO(delivery.images.read(taken[1], 10_000))) as image:
        assert image.size == (64, 48)
    assert delivery.refused["dog/bad.mov"][0] == "truncated"
    with pytest.raises(UnfitFileError) as raised:
        delivery.images.read("cat/b.mp4", 10_000)
    assert raised.value.reason == "unsafe_path"
    assert not any(path.name == "1.png" for path in Path(store.root).rglob("*"))


@pytest.mark.parametrize("uri", ["cam/{partition}", "cam"])
def test_every_frame_of_a_labelled_clip_is_accepted(uri, project, landing, make_clip, store, ledger):
    make_clip(landing / uri.replace("{partition}", "2026-11-02") / "0" / "a.mp4", frames=20)
    source = SourceConfig(uri=uri, layout="class_folders", complete="count", frame_seconds=1.0)
    project = project.model_copy(update={"source": source})
    batch = collect_batch(project, find_complete_batch(project, str(landing), "2026-11-02"), store)
    reports = [ingest_shard(project, shard, store, ledger) for shard in plan_shards(project, batch)]
    report = validate_partition(project, reports, store, ledger)
    assert (report.accepted, report.reasons) == (2, {})
    if "{" in uri:
        observed = read_manifest(store, report.address)["observed_at"].to_pylist()
        assert {moment.isoformat() for moment in observed} == {"2026-11-02T23:59:59.999999+00:00"}
