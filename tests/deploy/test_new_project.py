import pytest

from deploy.new_project import write_project
from include.errors import ProjectFileError
from include.project import load_project


def test_a_new_project_is_valid_and_explained(tmp_path):
    path = write_project("street_signs", tmp_path)
    assert load_project(path).title == "Street signs"
    assert path.read_text().count("#") >= 10


@pytest.mark.parametrize("name", ["", "Digits", "9lives", "a-b", "a b", "../up", "x" * 41, "a\n"])
def test_a_bad_name_is_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(ProjectFileError, match="no project name"):
        write_project(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_never_touched(tmp_path):
    path = write_project("signs", tmp_path)
    path.write_text("mine")
    with pytest.raises(ProjectFileError, match="there already"):
        write_project("signs", tmp_path)
    assert path.read_text() == "mine"
