import io
import tarfile

import pytest

from include.contracts import BatchRef
from include.data.sources.collectors import prepare
from include.data.sources.web import Web
from include.project import Project, SourceConfig


def make_project(uri, **source):
    return Project(name="pets", classes=("cat", "dog"), source=SourceConfig(uri=uri, **source))


def make_batch(uri):
    return BatchRef(project="pets", partition="snapshot", uri=uri, images=0)


def deliver(path, *names, mtime=0):
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.mtime = mtime
            archive.addfile(info, io.BytesIO())
    return str(path)


def test_a_folder_without_videos_may_stay_where_it_is(tmp_path):
    (tmp_path / "1.png").touch()
    for frame_seconds in (0, 1):
        project = make_project(str(tmp_path), layout="class_folders", frame_seconds=frame_seconds)
        assert prepare(project, make_batch(str(tmp_path)), Web()) is None


def test_archives_are_told_apart_by_their_bytes(tmp_path):
    keys = []
    for name, mtime in (("a.tar", 0), ("b.tar", 0), ("c.tar", 1)):
        uri = deliver(tmp_path / name, "cat/1.png", mtime=mtime)
        keys.append(prepare(make_project(uri), make_batch(uri), Web())[0])
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        pytest.param(("kat/1.png",), ("kat/1.png",), id="misspelt"),
        pytest.param(("kat/1", "kat/2"), ("kat/1", "kat/2"), id="without-suffix"),
        pytest.param(("kat/1.webp", "kat/b/2.png"), ("kat/1.webp", "kat/b/2.png"), id="class-with-folders"),
        pytest.param(("pets/README.md", "pets/kat/1.png"), ("README.md", "kat/1.png"), id="wrapper"),
    ],
)
def test_the_only_folder_is_a_class_where_images_lie_in_it(tmp_path, names, kept):
    uri = deliver(tmp_path / "a.tar", *names)
    (tmp_path / "content").mkdir()
    _, fill = prepare(make_project(uri, layout="class_folders"), make_batch(uri), Web())
    assert tuple(fill(tmp_path / "content").modified) == kept


def test_a_folder_of_images_described_as_coco_is_a_wrapper(tmp_path):
    uri = deliver(tmp_path / "a.tar", "pets/coco.json", "pets/1.png")
    (tmp_path / "content").mkdir()
    _, fill = prepare(make_project(uri, layout="coco"), make_batch(uri), Web())
    assert tuple(fill(tmp_path / "content").modified) == ("coco.json", "1.png")


def test_only_one_wrapper_is_dropped(tmp_path):
    uri = deliver(tmp_path / "a.tar", "pets/2026/cat/1.png")
    (tmp_path / "content").mkdir()
    _, fill = prepare(make_project(uri, layout="class_folders"), make_batch(uri), Web())
    collection = fill(tmp_path / "content")
    assert collection.modified == {"2026/cat/1.png": 0.0}
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")] == ["content/2026/cat/1.png"]
