import json
import logging

from include.monitoring.channels import open_channels, tell_at_once
from include.monitoring.notice_file import locate_file


def test_channels_are_read_in_apprises_text_format(tmp_path, caplog):
    file = tmp_path / "notices.ndjson"
    urls = f"# a comment\n\n{locate_file(file)}\nops,night=mailto://user:secret@example.invalid\nnonsense://secret\n"
    with caplog.at_level(logging.ERROR):
        everybody, night = open_channels(urls)
    assert (everybody.tags, night.tags) == (frozenset(), {"ops", "night"})
    assert everybody.name != night.name
    assert "secret" not in night.name
    assert everybody.send("title", "body", "critical")
    assert json.loads(file.read_text())["type"] == "failure"


def test_without_channels_nobody_is_told():
    assert open_channels("") == []
    tell_at_once([], "title", "body", "critical")


def test_at_once_only_those_are_told_who_are_for_everybody(tmp_path, caplog):
    paths = [tmp_path / name for name in ("all", "ops", "blocked/file")]
    (tmp_path / "blocked").write_text("")
    urls = f"{locate_file(paths[0])}\nops={locate_file(paths[1])}\n{locate_file(paths[2])}"
    tell_at_once(open_channels(urls), "the ledger is away", "body", "critical")
    assert [path.exists() for path in paths[:2]] == [True, False]
    assert "did not take: the ledger is away" in caplog.text
