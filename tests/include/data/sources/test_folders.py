import pickle

import obstore
import pytest

from include.data.sources.folders import open_folder
from include.data.sources.names import UnfitFileError
from include.storage import open_bucket


@pytest.fixture(params=["local", "s3"])
def place(request, tmp_path):
    """Give the URI of a folder, and a function that writes into it."""
    if request.param == "local":

        def write(name, data):
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        (tmp_path / "source").mkdir()
        return str(tmp_path / "source"), write
    uri = f"{request.getfixturevalue('s3_bucket')}/source"
    return uri, lambda name, data: obstore.put(open_bucket(uri), name, data)


def refusal(action):
    with pytest.raises(UnfitFileError) as raised:
        action()
    return raised.value.reason


def test_lists_and_reads_at_any_depth_in_name_order(place):
    uri, write = place
    for name in ("b/2.png", "a.png", "b/c/ü 1.png"):
        write(name, name.encode())
    folder = pickle.loads(pickle.dumps(open_folder(uri)))  # noqa: S301 (our own bytes)
    assert list(folder.list_files()) == ["a.png", "b/2.png", "b/c/ü 1.png"]
    assert list(folder.enter("b").list_files()) == ["2.png", "c/ü 1.png"]
    assert folder.read("b/c/ü 1.png", 100) == "b/c/ü 1.png".encode()
    with folder.enter("b").open("2.png") as file:
        file.seek(2)
        assert file.read() == b"2.png"


def test_unfinished_and_system_files_are_not_listed(place):
    uri, write = place
    for name in (".a.png.Xy1", "b/.DS_Store", ".git/config", "c.png"):
        write(name, b"x")
    assert list(open_folder(uri).list_files()) == ["c.png"]


def test_nothing_is_an_empty_folder(place):
    folder = open_folder(place[0]).enter("nowhere")
    assert folder.list_files() == {}
    assert folder.find_youngest() is None
    assert folder.find_time("a.png") is None


def test_knows_when_files_came(place):
    uri, write = place
    write("a.png", b"x")
    folder = open_folder(uri)
    assert folder.find_time("a.png") == folder.find_youngest() >= folder.list_files()["a.png"]
    assert folder.find_time("b.png") is None


@pytest.mark.parametrize("name", ["gone.png", "gone/1.png"])
def test_a_file_that_is_not_there_is_missing(place, name):
    folder = open_folder(place[0])
    assert refusal(lambda: folder.read(name, 10)) == "missing_file"
    assert refusal(lambda: folder.open(name)) == "missing_file"


@pytest.mark.parametrize("name", ["../a", "/etc/hostname", "", ".", "a//b", "a/../../x", "a\nb.png", "\udcff.png"])
def test_a_name_that_is_no_place_inside_is_not_opened(place, name):
    folder = open_folder(place[0])
    assert refusal(lambda: folder.read(name, 10)) == "unsafe_path"
    assert refusal(lambda: folder.open(name)) == "unsafe_path"


def test_a_file_as_large_as_allowed_is_read_and_a_larger_one_is_not(place):
    uri, write = place
    write("ten.bin", bytes(10))
    assert open_folder(uri).read("ten.bin", 10) == bytes(10)
    assert refusal(lambda: open_folder(uri).read("ten.bin", 9)) == "too_large_bytes"
