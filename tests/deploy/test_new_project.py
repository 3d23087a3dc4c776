import os
import subprocess
import sys
import time

import pytest

from deploy.new_project import write_project
from include.data.arrivals import find_complete_batch
from include.errors import ProjectFileError
from include.project import load_project
from include.settings import REPOSITORY


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


def make_folders(tmp_path, *names):
    for name in names:
        (tmp_path / "images" / name).mkdir(parents=True)
    return tmp_path / "images"


def test_a_folder_of_class_folders_becomes_a_project_that_needs_no_edit(tmp_path, monkeypatch):
    classes = ("007", "no", 'a "quoted": {name}', "rose")
    images = make_folders(tmp_path, *classes, ".git")
    (images / "README.txt").touch()
    (images / "rose" / "1.png").write_bytes(b"x")
    project = load_project(write_project("flowers", tmp_path, images))
    assert project.classes == tuple(sorted(classes))
    assert (project.source.uri, project.source.layout) == (str(images), "class_folders")
    assert project.source.snapshot
    assert find_complete_batch(project, "", "-") is None
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert find_complete_batch(project, "", "-").images == 2


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ((), "no folder"),
        (("rose",), "holds 1 folders; a project needs one for each of two classes"),
        (("train", "val"), "train, val, which are splits and no classes"),
    ],
)
def test_a_folder_without_classes_is_refused_and_nothing_is_written(tmp_path, folders, message):
    images = make_folders(tmp_path, *folders) if folders else tmp_path / "nowhere"
    with pytest.raises(ProjectFileError, match=message):
        write_project("flowers", tmp_path, images)
    assert list(tmp_path.glob("*.yaml")) == []


def test_a_place_that_no_source_can_name_leaves_no_file(tmp_path):
    (tmp_path / "{x}" / "a").mkdir(parents=True)
    (tmp_path / "{x}" / "b").mkdir()
    with pytest.raises(ProjectFileError, match="stands for something"):
        write_project("flowers", tmp_path, tmp_path / "{x}")
    assert list(tmp_path.glob("*.yaml")) == []


@pytest.mark.parametrize("images", [False, True])
def test_make_takes_a_name_and_maybe_a_folder(tmp_path, images):
    folder = make_folders(tmp_path, "a", "b")
    arguments = ["flowers", str(folder)] if images else ["flowers"]
    environment = os.environ | {"WINDHOVER_PROJECTS": str(tmp_path)}
    command = [sys.executable, "-m", "deploy.new_project", *arguments]
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == f"wrote {tmp_path}/flowers.yaml\n"
    assert load_project(tmp_path / "flowers.yaml").classes == (("a", "b") if images else ("no", "yes"))
