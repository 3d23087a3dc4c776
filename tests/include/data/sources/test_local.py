import os
from pathlib import Path

import pytest

from include.data.sources.local import LocalFolder
from include.data.sources.names import UnfitFileError
from include.errors import DataQualityError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "album").mkdir(parents=True)
    (root / "album" / "1.png").write_bytes(b"x")
    return LocalFolder(str(root))


def test_only_a_regular_file_reached_without_links_is_read(folder, tmp_path):
    root = Path(folder.uri)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.png").write_bytes(b"secret")
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "link.png").symlink_to(tmp_path / "outside" / "1.png")
    (root / "dangling.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(root / "pipe.png")
    assert list(folder.list_files()) == ["album/1.png", "dangling.png", "link.png", "linked", "pipe.png"]
    for name in ("linked/1.png", "link.png", "dangling.png", "pipe.png", "album", "album/1.png/2.png"):
        with pytest.raises(UnfitFileError) as raised:
            folder.read(name, 100)
        assert raised.value.reason == "unsafe_path", name
    assert folder.find_time("link.png") is None


def test_a_folder_inside_that_is_a_link_is_no_folder(folder, tmp_path):
    (Path(folder.uri) / "images").symlink_to(tmp_path)
    with pytest.raises(DataQualityError, match="symbolic link"):
        folder.enter("images").list_files()
    with pytest.raises(UnfitFileError):
        folder.enter("images").read("root/album/1.png", 100)


def test_a_copy_that_keeps_its_old_time_came_now(folder):
    os.utime(Path(folder.uri) / "album" / "1.png", (1, 1))
    assert folder.list_files() == {"album/1.png": 1.0}
    assert folder.find_youngest() == folder.find_time("album/1.png") > 1_000_000_000


def test_a_name_too_long_for_the_file_system_is_missing(folder):
    with pytest.raises(UnfitFileError) as raised:
        folder.read("x" * 300, 100)
    assert raised.value.reason == "missing_file"


def test_reading_leaves_no_file_open(folder):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("album/1.png", "gone.png", "album"):
        try:
            folder.read(name, 100)
        except UnfitFileError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before
