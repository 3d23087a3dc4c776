import pytest
import yaml

from include.data.suites import load_suite, write_suite
from include.errors import ProjectFileError


@pytest.fixture
def edited(project, tmp_path, monkeypatch):
    """Write the project's suite and load it after a change to its entries, or as any other text."""
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path))
    (tmp_path / "expectations").mkdir()

    def edit(change=None, text=None):
        path = write_suite(project, tmp_path / "expectations")
        if change is not None:
            entries = yaml.safe_load(path.read_text())
            change(entries)
            path.write_text(yaml.safe_dump(entries))
        if text is not None:
            path.write_bytes(text)
        return load_suite(project)

    return edit


def test_the_written_suite_is_the_built_one(project, edited, tmp_path):
    built = load_suite(project)
    assert edited() == built
    text = (tmp_path / "expectations" / "digits.yaml").read_text()
    assert "# Rows: what breaks these goes to quarantine.\n\n- expectation: " in text
    assert "rows_before: median number" in text
    assert "    min_value: {$PARAMETER: rows_before / 2}\n" in text


def test_edits_by_hand_count(edited):
    def only_one(entries):
        entries[:] = [entries[0] | {"on_failure": "warn", "description": "Not empty."}]

    (check,) = edited(only_one)
    assert (check.on_failure, check.description) == ("warn", "Not empty.")


def test_edits_are_not_overwritten(project, edited, tmp_path):
    edited()
    with pytest.raises(ProjectFileError, match=r"digits\.yaml is there already; remove it"):
        write_suite(project, tmp_path / "expectations")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"on_falure": "warn"}, r"on_falure: unknown key; did you mean 'on_failure'"),
        ({"on_failure": "ignore"}, r"on_failure: .*'stop', 'quarantine' or 'warn'"),
        ({"kwargs": [1]}, r"kwargs: .*dictionary"),
        ({"expectation": "expect_table_row_count_between"}, r"did you mean 'expect_table_row_count_to_be_between'"),
        ({"kwargs": {"min_valu": 1}}, r"unknown key in kwargs 'min_valu'; did you mean 'min_value'"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place(edited, change, said):
    with pytest.raises(ProjectFileError, match=r"expectations/digits\.yaml: entry 1 \(expect_table_row_count.*" + said):
        edited(lambda entries: entries[0].update(change))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"expectation: x", b"- [", b"\xff\xfe\x00", b"!!python/object:os.system {}"]
)
def test_what_is_no_list_of_entries_is_refused(edited, text):
    with pytest.raises(ProjectFileError, match=r"digits\.yaml: (not readable as YAML|expected a list)"):
        edited(text=text)


@pytest.mark.parametrize("text", [b"- 3", b"- expect_x"])
def test_an_entry_that_is_no_mapping_is_refused(edited, text):
    with pytest.raises(ProjectFileError, match=r"digits\.yaml: entry 1 \("):
        edited(text=text)
