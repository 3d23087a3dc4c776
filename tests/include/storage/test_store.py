"""What a store promises, wherever it is."""

import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.settings import REPOSITORY
from include.storage import Store, digest_folder


def make_folder(folder: Path, content: bytes) -> Path:
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "inner" / "empty").touch()
    return folder


def test_what_is_written_is_read_and_listed(any_store: Store):
    any_store.write("a/file", b"old")
    any_store.write("a/file", b"new")
    any_store.write("b", b"")
    assert (any_store.read("a/file"), any_store.read("b")) == (b"new", b"")
    assert any_store.list("") == ["a/file", "b"]
    assert any_store.list("a") == ["a/file"]
    assert [any_store.exists(address) for address in ("a", "a/file", "a/fil", "c")] == [True, True, False, False]


def test_a_pattern_selects_files_by_name(any_store: Store):
    for address in ("p/1/a.parquet", "p/2/a.parquet", "p/2/a.json", "pq/a.parquet"):
        any_store.write(address, b"")
    assert any_store.list("p", "*.parquet") == ["p/1/a.parquet", "p/2/a.parquet"]
    assert any_store.list("p", "2/a.*") == ["p/2/a.json", "p/2/a.parquet"]


def test_listing_an_empty_store_is_empty(any_store: Store):
    assert any_store.list("digits/predictions", "*.parquet") == []


def test_names_beyond_ascii_come_back(any_store: Store):
    name = "a b/ü#?%20.txt"
    any_store.write(name, b"x")
    assert any_store.list("a b") == [name]
    assert any_store.read(name) == any_store.open(name).read() == any_store.fetch(name).read_bytes() == b"x"


def test_an_open_file_seeks(any_store: Store):
    content = os.urandom(3_000_000)
    any_store.write("file", content)
    with any_store.open("file") as file:
        assert file.read(10) == content[:10]
        assert file.seek(-5, io.SEEK_END) == len(content) - 5
        assert file.read() == content[-5:]
        assert file.read() == b""
        file.seek(1_000_000)
        file.seek(7, io.SEEK_CUR)
        assert file.read(1_500_000) == content[1_000_007:2_500_007]
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
        file.seek(0)
        assert file.read() == content


def test_parquet_is_read_from_an_open_file(any_store: Store):
    table = pa.table({"row": range(100_000)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=1000)
    any_store.write("rows.parquet", buffer.getvalue())
    with any_store.open("rows.parquet") as file:
        assert pq.ParquetFile(file).read_row_group(57)["row"][0].as_py() == 57_000


def test_lance_opens_the_uri(any_store: Store):
    address = "digits/images.lance"
    lance.write_dataset(pa.table({"row": [1, 2]}), any_store.uri(address))
    assert lance.dataset(any_store.uri(address)).count_rows() == 2
    assert any_store.exists(address)
    any_store.remove(address)
    assert not any_store.exists(address)


@pytest.mark.parametrize("touch", ["read", "open", "fetch"])
@pytest.mark.parametrize("address", ["nowhere", "file/below"])
def test_a_missing_file_says_what_to_look_at(any_store: Store, touch: str, address: str):
    any_store.write("file", b"")
    with pytest.raises(ArtifactNotFoundError, match="WINDHOVER_STORE"):
        getattr(any_store, touch)(address)


@pytest.mark.parametrize("address", ["../outside", "a/../../outside", "/etc/passwd", ".."])
def test_an_address_that_leaves_the_store_is_refused(any_store: Store, tmp_path: Path, address: str):
    any_store.write("a/file", b"")
    calls = [getattr(any_store, name) for name in ("uri", "read", "open", "fetch", "exists", "list", "remove")]
    calls += [lambda at: any_store.write(at, b""), lambda at: any_store.publish_folder(tmp_path, at)]
    for call in calls:
        with pytest.raises(ContractViolationError, match="leaves the store"):
            call(address)


def test_a_published_folder_is_there_whole(any_store: Store, tmp_path: Path):
    folder = make_folder(tmp_path / "folder", b"x" * 20_000_000)
    any_store.publish_folder(folder, "releases/one")
    assert any_store.exists("releases/one")
    assert any_store.list("releases") == ["releases/one/inner/empty", "releases/one/model.onnx"]
    fetched = any_store.fetch("releases/one")
    assert fetched.name == "one"
    assert digest_folder(fetched) == digest_folder(folder)
    assert any_store.fetch("releases/one") == fetched


def test_publishing_twice_keeps_the_first(any_store: Store, tmp_path: Path):
    folder = make_folder(tmp_path / "folder", b"first")
    any_store.publish_folder(folder, "releases/one")
    make_folder(folder, b"second")
    any_store.publish_folder(folder, "releases/one")
    assert any_store.read("releases/one/model.onnx") == b"first"


def test_publishing_twice_at_once_publishes_once(any_store: Store, tmp_path: Path):
    folder = make_folder(tmp_path / "folder", b"x" * 1_000_000)
    with ThreadPoolExecutor(8) as pool:
        attempts = [pool.submit(any_store.publish_folder, folder, "releases/one") for _ in range(8)]
    assert [attempt.exception() for attempt in attempts] == [None] * 8
    assert any_store.list("") == ["releases/one/inner/empty", "releases/one/model.onnx"]
    assert digest_folder(any_store.fetch("releases/one")) == digest_folder(folder)


def test_publishing_a_folder_that_is_not_there_fails_and_leaves_nothing(any_store: Store, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        any_store.publish_folder(tmp_path / "nowhere", "releases/one")
    assert not any_store.exists("releases/one")


def test_a_reader_never_sees_half_a_file(any_store: Store):
    contents = [bytes([value]) * 200_000 for value in range(8)]
    any_store.write("file", contents[0])
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(any_store.write, "file", content) for content in contents * 2]
        seen = [any_store.read("file") for _ in range(50)]
    assert all(write.exception() is None for write in writes)
    assert set(seen) <= set(contents)
    assert any_store.list("") == ["file"]


def test_removing_takes_a_file_or_a_tree_and_nothing_else(any_store: Store, tmp_path: Path):
    any_store.publish_folder(make_folder(tmp_path / "folder", b"x"), "releases/one")
    for address in ("releases/one.json", "releases/ones/file", "file"):
        any_store.write(address, b"")
    for address in ("releases/one", "file", "releases/one", "never/there"):
        any_store.remove(address)
    assert any_store.list("") == ["releases/one.json", "releases/ones/file"]
    assert not any_store.exists("releases/one")


def test_many_files_are_removed_at_once_and_nothing_else(any_store: Store):
    for address in ("a/one", "a/two", "a/three", "b/one"):
        any_store.write(address, b"")
    any_store.remove_files(["a/one", "a/three", "b/one", "a/one", "never/there"])
    any_store.remove_files([])
    assert any_store.list("") == ["a/two"]
    with pytest.raises(ContractViolationError, match="leaves the store"):
        any_store.remove_files(["a/two", "../outside"])
    assert any_store.list("") == ["a/two"]


def test_what_was_removed_can_be_published_again_with_other_content(any_store: Store, tmp_path: Path):
    for content in (b"first", b"second"):
        any_store.publish_folder(make_folder(tmp_path / "folder", content), "releases/one")
        assert (any_store.fetch("releases/one") / "model.onnx").read_bytes() == content
        any_store.remove("releases/one")


@pytest.mark.parametrize("address", ["", ".", "a/.."])
def test_the_whole_store_is_not_removed(any_store: Store, address: str):
    any_store.write("a/file", b"")
    with pytest.raises(ContractViolationError, match="whole store"):
        any_store.remove(address)
    assert any_store.list("") == ["a/file"]


def test_a_store_travels_to_another_process(any_store: Store):
    any_store.write("file", b"x")
    code = "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer).read('file'))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(any_store), capture_output=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout == b"x"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3:///store",
        "s3://a",
        "s3://bucket/../other",
        "s3://bucket//x",
        "s3://bucket/a?b",
        "http://h/x",
        "C://",
    ],
)
def test_a_uri_that_names_no_store_is_refused(uri: str):
    with pytest.raises(ContractViolationError, match="s3://bucket/prefix"):
        Store(uri)


def test_azure_without_an_account_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ContractViolationError, match="Account must be specified"):
        Store("az://container/store")


def test_a_file_uri_is_the_folder(tmp_path: Path):
    assert Store(tmp_path.as_uri()).root == Store(str(tmp_path)).root == str(tmp_path)


def test_importing_the_store_loads_no_object_store_library():
    code = (
        "import sys, include.storage, include.settings; sys.exit('obstore' in sys.modules or 'pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
