from datetime import UTC, datetime

import pytest

from include.data.sources.facts import Label, Shot
from include.data.sources.folders import open_folder
from include.data.sources.manifest import read_facts, write_tables
from include.errors import DataQualityError
from include.project import SourceConfig

AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


def read(folder, manifest, labels=None, delivered=(), **source):
    (folder / "manifest.csv").write_text("file,observed_at,group,subject\n" + manifest)
    if labels:
        (folder / "labels.csv").write_text("file,label,known_at\n" + labels)
    return read_facts(SourceConfig(**source), open_folder(str(folder)), dict.fromkeys(delivered, AT))


def test_joins_what_is_delivered_listed_and_labelled(tmp_path):
    facts = read(
        tmp_path,
        "a.png,2026-11-02T08:00:00Z,g,person-7\nabsent.png,2026-11-02T08:00:00,g,\n",
        "a.png,yes,2026-11-03T08:00:00Z\n",
        delivered=("a.png", "unlisted.png"),
    )
    assert facts.names == ("a.png", "absent.png", "unlisted.png")
    assert facts.shots == {"a.png": Shot(AT, "g", "person-7"), "absent.png": Shot(AT, "g", None)}
    assert facts.labels == {"a.png": (Label("yes", datetime(2026, 11, 3, 8, 0, tzinfo=UTC)),)}


def test_several_lines_of_a_file_are_its_history_oldest_first(tmp_path):
    labels = "a,no,2026-11-05T00:00:00Z\na,yes,2026-11-03T00:00:00Z\na,no,2026-11-05T00:00:00Z\n"
    facts = read(tmp_path, "a,2026-11-02,g,\n", labels)
    assert [(known.label, known.known_at.day) for known in facts.labels["a"]] == [("yes", 3), ("no", 5)]


def test_two_labels_known_at_one_moment_are_an_error_that_names_both_lines(tmp_path):
    labels = "a,yes,2026-11-03T00:00:00Z\nb,no,2026-11-03T00:00:00Z\n./a,no,2026-11-03T01:00:00+01:00\n"
    with pytest.raises(DataQualityError, match=r"labels\.csv, line 4: 'a' is 'no', but 'yes' in line 2"):
        read(tmp_path, "a,2026-11-02,g,\n", labels)


def test_labels_that_come_later_move_no_file_to_another_place(tmp_path):
    manifest = "b,2026-11-02,g,\nc,2026-11-02,g,\n"
    assert read(tmp_path, manifest).names == ("b", "c")
    assert read(tmp_path, manifest, "a,yes,2026-11-03\n").names == ("b", "c", "a")


def test_a_file_is_listed_once(tmp_path):
    with pytest.raises(DataQualityError, match=r"line 3: 'a\.png' is listed already in line 2; list a file once"):
        read(tmp_path, "a.png,2026-11-02,g,\n.//a.png,2026-11-02,g,\n")


def test_an_empty_group_is_named_by_the_pattern_or_refused(tmp_path):
    manifest = "ward/p7_1.png,2026-11-02,,\nodd.png,2026-11-02,,\nx_2.png,2026-11-02,own,\n"
    shots = read(tmp_path, manifest, group_pattern=r"([^/_]+)_[^/]*$").shots
    assert [shot.group for shot in shots.values()] == ["p7", "odd.png", "own"]
    with pytest.raises(DataQualityError, match=r"manifest\.csv, line 2: group '' is empty"):
        read(tmp_path, manifest)


def test_a_clip_is_its_own_group(tmp_path):
    manifest = "a.mp4,2026-11-02,,\nb.mp4,2026-11-02,walk,\n"
    shots = read(tmp_path, manifest, frame_seconds=1).shots
    assert [shot.group for shot in shots.values()] == ["a.mp4", "walk"]


def test_a_delivery_without_a_manifest_says_so(tmp_path):
    with pytest.raises(DataQualityError, match=r"no manifest\.csv or manifest\.parquet"):
        read_facts(SourceConfig(), open_folder(str(tmp_path)), {})


def test_reads_what_it_wrote(tmp_path):
    shots = {'"a,\n.png': Shot(AT, "g", "s"), "b": Shot(AT, "h")}
    labels = {"b": Label("yes", AT)}
    write_tables(tmp_path, shots, labels)
    facts = read_facts(SourceConfig(), open_folder(str(tmp_path)), {})
    assert (facts.shots, facts.labels) == (shots, {"b": (labels["b"],)})
