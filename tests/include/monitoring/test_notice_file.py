import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apprise import Apprise

from include.monitoring.notice_file import locate_file, register


def tell(path: Path, title: str, body: str = "body\nof two lines") -> bool:
    register()
    channels = Apprise()
    assert channels.add(locate_file(path))
    return bool(channels.notify(body=body, title=title, notify_type="warning", body_format="text"))


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("folder", ["plain", "with space", "100% #1 ü", "deep/er"])
def test_a_notification_is_one_line_in_any_folder(tmp_path, folder):
    path = tmp_path / folder / "notices.ndjson"
    assert tell(path, "[major] digits: <b>it & that</b>")
    (line,) = read(path)
    assert (line["title"], line["body"]) == ("[major] digits: <b>it & that</b>", "body\nof two lines")
    assert line["type"] == "warning"


def test_what_stands_there_is_not_written_again(tmp_path):
    path = tmp_path / "notices.ndjson"
    assert [tell(path, title) for title in ("one", "two", "one", "two")] == [True] * 4
    assert [line["title"] for line in read(path)] == ["one", "two"]


@pytest.mark.parametrize("torn", [b'{"at": "2026', b"\xff\xfe\n", b"[]\nnull\n"])
def test_a_torn_or_foreign_line_swallows_nothing(tmp_path, torn):
    path = tmp_path / "notices.ndjson"
    path.write_bytes(torn)
    assert tell(path, "one")
    assert json.loads(path.read_bytes().splitlines()[-1])["title"] == "one"


def test_many_at_once_write_each_line_whole_and_once(tmp_path):
    path = tmp_path / "notices.ndjson"
    titles = [f"title {number % 4}" for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda title: tell(path, title, "x" * 5000), titles))
    assert sorted(line["title"] for line in read(path)) == [f"title {number}" for number in range(4)]


def test_a_file_that_cannot_be_written_is_not_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert not tell(tmp_path / "file" / "notices.ndjson", "one")
