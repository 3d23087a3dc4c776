import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from include.errors import ContractViolationError
from include.settings import REPOSITORY
from include.storage import Store, write_atomically

# Replaces one function of `os` by one that kills the process, and writes over what is there.
KILLED_AT = """
import os, signal, sys
from pathlib import Path
from include.storage import write_atomically

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

step, path = sys.argv[1:]
if step == "rename":
    Path.replace = die
else:
    setattr(os, step, die)
write_atomically(Path(path), b"new" * 1_000_000)
"""
REMOVAL_KILLED_AT = """
import os, shutil, signal, sys
from include.storage import Store

shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Store(sys.argv[1]).remove("a/folder")
"""


@pytest.mark.parametrize("step", ["fchmod", "fsync", "rename"])
def test_a_writer_killed_at_any_step_leaves_the_old_bytes(store: Store, step: str):
    store.write("a/file.bin", b"old")
    path = store.fetch("a/file.bin")
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, step, path], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert store.read("a/file.bin") == b"old"
    assert store.list("a") == ["a/file.bin"]
    assert len(list(path.parent.iterdir())) == 2, "the kill came before anything was written"
    store.write("a/file.bin", b"new")
    assert store.read("a/file.bin") == b"new"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_other_users_may_read_what_is_published(store: Store, tmp_path: Path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True, mode=0o700)
    (folder / "inner" / "file").touch(mode=0o600)
    store.write("file", b"")
    store.publish_folder(folder, "folder")
    modes = [stat.S_IMODE(store.fetch(a).stat().st_mode) for a in ("file", "folder/inner/file", "folder/inner")]
    assert modes == [0o644, 0o644, 0o755]


def test_a_link_that_leaves_the_store_is_refused(store: Store, tmp_path: Path):
    store.write("a/file", b"")
    Path(store.root, "link").symlink_to(tmp_path)
    for touch in (store.uri, store.read, store.exists, store.list, store.remove, lambda at: store.write(at, b"")):
        with pytest.raises(ContractViolationError, match="leaves the store"):
            touch("link/file")


def test_a_folder_being_published_does_not_show(store: Store):
    store.write("releases/one/model.onnx", b"")
    store.write("releases/.two.abcdefgh/model.onnx", b"")
    assert store.list("releases") == ["releases/one/model.onnx"]


def test_a_failed_publication_leaves_nothing_behind(store: Store, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="dangling"):
        store.publish_folder(tmp_path / "folder", "releases/one")
    assert list(store.fetch("releases").iterdir()) == []


def test_a_removal_that_was_killed_hides_the_folder_and_is_finished_by_the_next(store: Store):
    store.write("a/folder/file", b"personal")
    killed = subprocess.run([sys.executable, "-c", REMOVAL_KILLED_AT, store.root], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert not store.exists("a/folder")
    assert [path.read_bytes() for path in Path(store.root).rglob("file")] == [b"personal"]
    store.remove("a/folder")
    assert list(Path(store.root, "a").iterdir()) == []


def test_removing_spares_the_unfinished_copies_of_its_neighbours(store: Store):
    for address in ("a/.folder.abcdefgh", "a/.folder.json.abcdefgh", "a/.folders.abcdefgh", "a/.folder.abc"):
        store.write(address, b"")
    store.remove("a/folder")
    left = sorted(path.name for path in Path(store.root, "a").iterdir())
    assert left == [".folder.abc", ".folder.json.abcdefgh", ".folders.abcdefgh"]


def test_sweeping_takes_what_kills_left_and_nothing_else(tmp_path):
    tree = Store(str(tmp_path))
    tree.write("digits/staging/day/kept.parquet", b"kept")
    for place in ("digits/staging/day/.shard-0.ab12_cd3", "digits/staging/.day.abcdefgh"):
        (tmp_path / place / "inside").mkdir(parents=True)
        (tmp_path / place / "bytes.parquet").write_bytes(b"image")
    (tmp_path / "digits/staging/.file.parquet.zzzzzzzz").write_bytes(b"image")
    (tmp_path / "digits/staging/.keep").write_bytes(b"")
    tree.sweep("digits/staging")
    tree.sweep("digits/nothing")
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["digits/staging/.keep", "digits/staging/day/kept.parquet"]
