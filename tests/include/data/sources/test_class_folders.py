from datetime import UTC, datetime

from include.data.sources.class_folders import read_facts
from include.data.sources.folders import open_folder
from include.project import SourceConfig

AT = datetime(2026, 11, 2, tzinfo=UTC)
NAMES = ("cat/1.png", "dog/day/p3_2.png", "loose.png")


def read(**source):
    return read_facts(SourceConfig(**source), open_folder("/nowhere"), dict.fromkeys(NAMES, AT))


def test_the_first_folder_is_the_label_and_a_loose_file_has_none():
    facts = read()
    assert facts.names == NAMES
    assert {name: [known.label for known in labels] for name, labels in facts.labels.items()} == {
        "cat/1.png": ["cat"], "dog/day/p3_2.png": ["dog"],
    }  # fmt: skip
    assert {known.known_at for labels in facts.labels.values() for known in labels} == {AT}


def test_every_file_is_its_own_group_unless_the_pattern_finds_one():
    assert [shot.group for shot in read().shots.values()] == list(NAMES)
    grouped = read(group_pattern=r"(p\d+)_").shots
    assert [grouped[name].group for name in NAMES] == ["cat/1.png", "p3", "loose.png"]
