import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest

from include.errors import ContractViolationError
from include.settings import REPOSITORY
from include.storage import Store, digest_folder, open_bucket
from include.storage.remote import FINISHED, STARTED

FILES = 6

# Kills itself at the n-th request of one kind.
KILLED_AT = """
import itertools, os, signal, sys
from pathlib import Path
import obstore
from include.storage import Store

uri, action, folder, request, last = sys.argv[1:]
store, call, numbers = Store(uri), getattr(obstore, request), itertools.count()

def count(*arguments, **options):
    if next(numbers) == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*arguments, **options)

setattr(obstore, request, count)
store.remove("releases/one") if action == "remove" else store.publish_folder(Path(folder), "releases/one")
"""


@pytest.fixture
def store(s3_bucket: str) -> Store:
    return Store(f"{s3_bucket}/a/store/")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "folder", "x")


def make_folder(folder: Path, content: str) -> Path:
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{content}-{number}").write_text(content * 1000)
    return folder


def kill(store: Store, action: str, folder: Path, request: str, last: int) -> None:
    command = [sys.executable, "-c", KILLED_AT, store.root, action, folder, request, str(last)]
    assert subprocess.run(command, cwd=REPOSITORY).returncode == -signal.SIGKILL


def find_objects(store: Store) -> list[str]:
    return [found["path"] for page in obstore.list(open_bucket(store.root)) for found in page]


@pytest.mark.parametrize("last", range(FILES + 2))
def test_an_upload_killed_at_any_request_shows_nothing_and_is_finished_by_the_next(
    store: Store, folder: Path, last: int
):
    store.write("releases/other", b"")
    kill(store, "publish", folder, "put", last)
    assert not store.exists("releases/one")
    assert store.list("") == ["releases/other"]
    store.publish_folder(folder, "releases/one")
    assert digest_folder(store.fetch("releases/one")) == digest_folder(folder)
    assert len(store.list("releases/one")) == FILES


def test_nothing_of_a_killed_upload_mixes_into_another_folder(store: Store, folder: Path, tmp_path: Path):
    kill(store, "publish", make_folder(tmp_path / "other", "y"), "put", FILES + 1)
    store.publish_folder(folder, "releases/one")
    assert digest_folder(store.fetch("releases/one")) == digest_folder(folder)
    assert len(store.list("")) == FILES


@pytest.mark.parametrize("last", range(3))
def test_a_removal_killed_at_any_request_leaves_no_half_folder(store: Store, folder: Path, last: int):
    store.publish_folder(folder, "releases/one")
    kill(store, "remove", folder, "delete", last)
    assert store.exists("releases/one") is (last == 0)
    assert len(store.list("")) == (FILES if last == 0 else 0)
    store.remove("releases/one")
    assert find_objects(store) == []


def test_a_folder_that_is_there_is_not_uploaded_again(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch):
    store.publish_folder(folder, "releases/one")
    monkeypatch.setattr(obstore, "put", lambda *_, **__: pytest.fail("uploaded again"))
    store.publish_folder(folder, "releases/one")


def test_a_late_publisher_never_hides_what_is_published(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The second one looks before the first one is done, and starts after it."""
    with monkeypatch.context() as late:
        late.setattr("include.storage.remote.RemoteTree.exists", lambda *_: False)
        store.publish_folder(folder, "releases/one")
        requests = []
        put, delete = obstore.put, obstore.delete
        late.setattr(obstore, "put", lambda *a, **o: (put(*a, **o), requests.append(Store(store.root).list("")))[0])
        late.setattr(obstore, "delete", lambda *a: (delete(*a), requests.append(Store(store.root).list("")))[0])
        store.publish_folder(folder, "releases/one")
    assert [len(shown) for shown in requests] == [FILES] * (FILES + 2)
    assert store.exists("releases/one")


def test_an_empty_folder_is_a_folder(store: Store, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    store.publish_folder(tmp_path / "empty", "empty")
    assert store.exists("empty")
    assert list(store.fetch("empty").iterdir()) == []
    assert sorted(find_objects(store)) == [f"empty/{FINISHED}", f"empty/{STARTED}"]


def test_the_prefix_is_the_world(store: Store, s3_bucket: str):
    Store(s3_bucket).write("a/stores/file", b"")
    store.write("file", b"")
    assert store.uri("x/") == f"{s3_bucket}/a/store/x"
    assert store.uri("") == store.root == f"{s3_bucket}/a/store"
    assert store.list("") == ["file"]
    assert Store(s3_bucket).list("") == ["a/store/file", "a/stores/file"]


def test_a_folder_whose_bytes_changed_is_not_fetched(store: Store, folder: Path):
    store.publish_folder(folder, "releases/one")
    store.write("releases/one/x-1", b"y")
    with pytest.raises(ContractViolationError, match="damaged"):
        store.fetch("releases/one")
    store.remove("releases/one")
    store.publish_folder(folder, "releases/one")
    assert digest_folder(store.fetch("releases/one")) == digest_folder(folder)


def test_fetching_at_once_fetches_whole_copies(store: Store, folder: Path):
    store.publish_folder(folder, "releases/one")
    with ThreadPoolExecutor(8) as pool:
        fetched = list(pool.map(lambda _: digest_folder(store.fetch("releases/one")), range(16)))
    assert set(fetched) == {digest_folder(folder)}


def test_copies_go_with_the_process_that_fetched_them(store: Store):
    store.write("file", b"x")
    code = "import sys; from include.storage import Store; print(Store(sys.argv[1]).fetch('file'))"
    command = [sys.executable, "-c", code, store.root]
    copy = Path(subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip())
    assert copy.name == "file"
    assert not copy.parents[1].exists()


def test_a_forked_child_does_not_take_its_parents_copies_along(store: Store):
    store.write("file", b"x")
    code = "import os, sys; from include.storage import Store; copy = Store(sys.argv[1]).fetch('file')\n"
    code += "if not os.fork(): sys.exit()\nos.wait(); sys.exit(not copy.exists())"
    assert subprocess.run([sys.executable, "-c", code, store.root], cwd=REPOSITORY, env=os.environ).returncode == 0


def test_sweeping_takes_the_folders_that_a_kill_left_and_nothing_else(store, folder, tmp_path):
    store.publish_folder(make_folder(tmp_path / "whole", "y"), "releases/two")
    kill(store, "publish", folder, "put", 3)
    assert any("releases/one/" in name for name in find_objects(store))
    store.sweep("releases")
    store.sweep("nothing")
    assert not any("releases/one/" in name for name in find_objects(store))
    assert len(store.list("releases/two")) == FILES
