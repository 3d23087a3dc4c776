from pathlib import Path

import pytest

from include.errors import ProjectFileError
from include.project import EthicsConfig, GovernanceConfig, Project, SourceConfig, load_project, load_projects

GOOD = "name: parts\nclasses: [good, bad]\n"


def write(folder: Path, text: str, name: str = "parts.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_shipped_project_loads(project: Project):
    assert project.classes == tuple("0123456789")
    assert project.data.formats == ("PNG",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "trainig: {}\n", "trainig: unknown key; did you mean 'training'?"),
        (GOOD + "training: {epoch: 3}\n", "training.epoch: unknown key; did you mean 'epochs'?"),
        (GOOD + "deployment: {freeze: [{day: mon}]}\n", "deployment.freeze.0.day: unknown key; did you mean 'days'?"),
        (GOOD + "tuning: {search: {learning_rate: {lwo: 1}}}\n", "lwo: unknown key; did you mean 'low'?"),
        (GOOD + "zzz: 1\n", "zzz: unknown key; known keys: name, title"),
        (GOOD + "training: {epochs: many}\n", "training.epochs: Input should be a valid integer"),
        (GOOD + "training: {epochs: 0}\n", "greater than or equal to 1 (got 0)"),
        (GOOD + "training: 7\n", "training: "),
        (GOOD + "data: {formats: [GIF]}\n", "data.formats.0: "),
        (GOOD + "training: {epochs: 1, epochs: 2}\n", "key 'epochs' is given twice"),
        (GOOD + "name: parts\n", "key 'name' is given twice"),
        (GOOD + "1: 2\n", "1: Keys should be strings"),
        (GOOD + "[a]: 2\n", "not readable as YAML"),
        ("name: parts\nclasses: [good, good]\n", "name a class twice"),
        (GOOD + "evaluation: {costs: {goood: {bad: 5}}}\n", "evaluation.costs names goood"),
        ("name: parts\nclasses: [good]\n", "at least 2"),
        ("name: parts\nclasses: [1, 2]\n", "classes.0: Input should be a valid string (got 1)"),
        ("name: parts\n", "classes: required, but not there"),
        ("name: others\nclasses: [good, bad]\n", "name is 'others'"),
        ("name: ../parts\nclasses: [good, bad]\n", "name: "),
        (GOOD + "source: {uri: ftp://x/y}\n", "no source ftp://"),
        (GOOD + "source: {uri: https://x/images/}\n", "over HTTP only a list of URLs"),
        (GOOD + "source: {uri: 'days/{day}'}\n", "only {partition} stands for something"),
        (GOOD + "source: {uri: '../{partition}'}\n", "source.uri: "),
        (GOOD + "source: {uri: s3://x/../y}\n", "name the place itself, without .."),
        (GOOD + "source: {marker: a/b}\n", "source.marker: "),
        (GOOD + "source: {group_pattern: '[a'}\n", "not a regular expression"),
        (GOOD + "source: {group_pattern: a_}\n", "into parentheses"),
        (GOOD + "source: {uri: a.zip, complete: count}\n", "count counts the files of a folder"),
        (GOOD + "source: {uri: a.csv, layout: coco}\n", "a list says itself what it holds"),
        ("- a list\n", "holds a list"),
        ("just words\n", "holds a str"),
        ("", "holds nothing"),
        ("# a comment\n", "holds nothing"),
        ("name: [unclosed\n", "not readable as YAML"),
        ("name: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, said: str):
    path = write(tmp_path, text)
    with pytest.raises(ProjectFileError) as caught:
        load_project(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("uri", "kind", "snapshot"),
    [
        ("", "folder", False),
        ("cam/{partition}", "folder", False),
        ("s3://bucket/prefix/", "folder", True),
        ("/data/{partition}.tar.gz", "archive", False),
        ("set.zip", "archive", True),
        ("https://example.org/list.csv", "list", True),
        ("torchvision://CIFAR10?train=true", "dataset", True),
    ],
)
def test_a_source_is_known_by_its_uri(uri: str, kind: str, snapshot: bool):
    source = SourceConfig(uri=uri)
    assert (source.kind, source.snapshot) == (kind, snapshot)


def test_several_faults_are_all_told(tmp_path: Path):
    path = write(tmp_path, GOOD + "owner: 3\ntraining: {epochs: 0, sed: 1}\n")
    with pytest.raises(ProjectFileError, match=r"owner: .*; training\.epochs: .*; training\.sed: .*'seed'"):
        load_project(path)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path):
    with pytest.raises(ProjectFileError, match="make new-project NAME=parts"):
        load_project(tmp_path / "parts.yaml")


def test_a_folder_or_bytes_in_place_of_a_file(tmp_path: Path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00name")
    for name in ("folder", "bytes"):
        with pytest.raises(ProjectFileError, match="not readable as YAML"):
            load_project(tmp_path / f"{name}.yaml")


def test_projects_come_in_name_order_and_other_files_are_ignored(tmp_path: Path):
    write(tmp_path, "name: b\nclasses: [x, y]\n", "b.yaml")
    write(tmp_path, "name: a\nclasses: [x, y]\n", "a.yaml")
    write(tmp_path, "nonsense", "notes.txt")
    projects, problems = load_projects(tmp_path)
    assert ([project.name for project in projects], problems) == (["a", "b"], [])
    assert load_projects(tmp_path / "nowhere") == ([], [])


def test_a_broken_file_is_told_apart_and_hides_no_other(tmp_path: Path):
    write(tmp_path, "name: a\nclasses: [x, y]\n", "a.yaml")
    write(tmp_path, "name: b\nclasses: [x]\n", "b.yaml")
    projects, [problem] = load_projects(tmp_path)
    assert [project.name for project in projects] == ["a"]
    assert "b.yaml: classes" in str(problem)


def test_a_project_cannot_be_changed(project: Project):
    with pytest.raises(ValueError, match="frozen"):
        project.name = "other"


def test_an_approver_gets_answers():
    answers = {"intended_use": "x", "stakeholders": ["x"], "ethics": dict.fromkeys(EthicsConfig.model_fields, "x")}
    for approval in ("first_release", "always"):
        assert GovernanceConfig.model_validate(answers | {"approval": approval}).approval == approval
        for name, value in (("intended_use", ""), ("stakeholders", []), ("ethics", {**answers["ethics"], "harm": ""})):
            with pytest.raises(ValueError, match=f"approval '{approval}' needs answers .*: {name}"):
                GovernanceConfig.model_validate(answers | {"approval": approval, name: value})
    assert GovernanceConfig().approval == "auto"


def test_the_shipped_project_answers_the_checklist(project: Project):
    assert len(project.governance.ethics.checklist) == len(EthicsConfig.model_fields)
    assert all(project.governance.ethics.checklist.values())
