import pytest

from include.data.sources.expanded import ExpandedFolder
from include.data.sources.folders import open_folder
from include.data.sources.names import UnfitFileError


@pytest.fixture
def folder(tmp_path):
    files = {
        "base/cat/a.mp4": b"video", "base/cat/b.mp4": b"broken", "base/1.png": b"one",
        "base/x.mp4/000000000.png": b"own",
        "frames/cat/a.mp4/000000000.png": b"first", "frames/cat/a.mp4/000001000.png": b"second",
        "frames/gone.mp4/000000000.png": b"of a video that was taken away",
    }  # fmt: skip
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return ExpandedFolder(
        open_folder(str(tmp_path / "base")), open_folder(str(tmp_path / "frames")), frozenset({"cat/a.mp4", "gone.mp4"})
    )


def test_frames_stand_in_for_their_video_and_are_as_old(folder):
    times = folder.list_files()
    frames = ["cat/a.mp4/000000000.png", "cat/a.mp4/000001000.png"]
    assert list(times) == ["1.png", *frames, "cat/b.mp4", "x.mp4/000000000.png"]
    assert {times[name] for name in frames} == {folder.base.list_files()["cat/a.mp4"]}


def test_each_is_read_where_it_is(folder):
    read = {name: folder.read(name, 100) for name in folder.list_files()}
    assert list(read.values()) == [b"one", b"first", b"second", b"broken", b"own"]
    with folder.open("cat/a.mp4/000001000.png") as file:
        assert file.read() == b"second"
    assert folder.find_time("cat/a.mp4/000001000.png") == folder.frames.find_time("cat/a.mp4/000001000.png")
    assert folder.find_youngest() == folder.base.find_youngest()
    assert list(folder.enter("cat").list_files()) == ["a.mp4", "b.mp4"]
    with pytest.raises(UnfitFileError):
        folder.read("cat/a.mp4/../../1.png", 100)
