import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.settings import REPOSITORY
from include.storage import Store, digest_bytes, digest_folder, write_atomically

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


@pytest.mark.parametrize("step", ["fchmod", "fsync", "rename"])
def test_a_writer_killed_at_any_step_leaves_the_old_bytes(store: Store, step: str):
    store.write("a/file.bin", b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, step, store.path("a/file.bin")], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert store.read("a/file.bin") == b"old"
    assert store.list("a") == ["a/file.bin"]
    assert len(list(store.path("a").iterdir())) == 2, "the kill came before anything was written"
    store.write("a/file.bin", b"new")
    assert store.read("a/file.bin") == b"new"


def test_a_reader_never_sees_half_a_file(store: Store):
    contents = [bytes([value]) * 200_000 for value in range(8)]
    store.write("file", contents[0])
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(store.write, "file", content) for content in contents * 4]
        seen = [store.read("file") for _ in range(200)]
    assert all(write.exception() is None for write in writes)
    assert set(seen) <= set(contents)
    assert store.list("") == ["file"]


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
    modes = {address: stat.S_IMODE(store.path(address).stat().st_mode) for address in ("file", "folder/inner/file")}
    assert modes == {"file": 0o644, "folder/inner/file": 0o644}
    assert stat.S_IMODE(store.path("folder/inner").stat().st_mode) == 0o755


@pytest.mark.parametrize("address", ["../outside", "a/../../outside", "/etc/passwd", "link/file"])
def test_an_address_that_leaves_the_store_is_refused(store: Store, tmp_path: Path, address: str):
    store.write("a/file", b"")
    (store.root / "link").symlink_to(tmp_path)
    for touch in (store.path, store.read, store.exists, store.list, lambda at: store.write(at, b"")):
        with pytest.raises(ContractViolationError, match="leaves the store"):
            touch(address)


def test_a_missing_file_says_what_to_look_at(store: Store):
    with pytest.raises(ArtifactNotFoundError, match="WINDHOVER_STORE"):
        store.read("nowhere")


def test_listing_an_empty_store_is_empty(store: Store):
    assert store.list("digits/predictions", "*.parquet") == []


def test_a_remote_store_is_refused_for_now():
    with pytest.raises(ContractViolationError, match="not a local folder"):
        Store("s3://bucket/store")


def test_publishing_twice_keeps_the_first(store: Store, tmp_path: Path):
    folder = make_folder(tmp_path / "folder", b"first")
    store.publish_folder(folder, "releases/one")
    make_folder(folder, b"second")
    store.publish_folder(folder, "releases/one")
    assert store.read("releases/one/model.onnx") == b"first"


def test_publishing_twice_at_once_publishes_once(store: Store, tmp_path: Path):
    folder = make_folder(tmp_path / "folder", b"x" * 1_000_000)
    with ThreadPoolExecutor(8) as pool:
        attempts = [pool.submit(store.publish_folder, folder, "releases/one") for _ in range(8)]
    assert [attempt.exception() for attempt in attempts] == [None] * 8
    assert [path.name for path in store.path("releases").iterdir()] == ["one"]
    assert digest_folder(store.path("releases/one")) == digest_folder(folder)


def test_a_folder_being_published_does_not_show(store: Store, tmp_path: Path):
    store.publish_folder(make_folder(tmp_path / "folder", b"x"), "releases/one")
    (store.path("releases") / ".two.abc").mkdir()
    (store.path("releases") / ".two.abc" / "model.onnx").touch()
    assert store.list("releases") == ["releases/one/model.onnx"]


def test_publishing_a_folder_that_is_not_there_fails_and_leaves_nothing(store: Store, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        store.publish_folder(tmp_path / "nowhere", "releases/one")
    assert list(store.path("releases").iterdir()) == []


def test_a_folder_is_named_by_names_and_bytes(tmp_path: Path):
    one = make_folder(tmp_path / "one", b"x")
    two = make_folder(tmp_path / "two", b"x")
    assert digest_folder(one) == digest_folder(two)
    (two / "model.onnx").rename(two / "other.onnx")
    assert digest_folder(one) != digest_folder(two)
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def make_folder(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    return folder
