import ast
import shutil

import pytest

from include.contracts import DatasetRef
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.training import provenance
from include.training.provenance import UNRELATED, candidate_key, describe_environment, digest_code

TRAINING = REPOSITORY / "include" / "training"
DATASET = DatasetRef(
    project="digits", address="digits/images.lance", version=3, digest=digest_bytes(b"a"), images=9, labelled=9
)


def vary(project, section, **changes):
    return project.model_copy(update={section: getattr(project, section).model_copy(update=changes)})


def test_everything_that_makes_the_weights_changes_the_key(project, monkeypatch):
    keys = {
        candidate_key(project, DATASET),
        candidate_key(project, DATASET.model_copy(update={"digest": digest_bytes(b"b")})),
        candidate_key(vary(project, "training", seed=18), DATASET),
        candidate_key(vary(project, "training", learning_rate=0.1), DATASET),
        candidate_key(project.model_copy(update={"classes": project.classes[::-1]}), DATASET),
        candidate_key(project.model_copy(update={"name": "other"}), DATASET),
    }
    monkeypatch.setattr(provenance, "digest_code", lambda: digest_bytes(b"other code"))
    keys.add(candidate_key(project, DATASET))
    assert len(keys) == 7


@pytest.mark.parametrize(("section", "changes"), [("promotion", {"min_accuracy": 0.1}), ("data", {"shards": 5})])
def test_what_does_not_make_the_weights_leaves_the_key_alone(project, section, changes):
    assert candidate_key(vary(project, section, **changes), DATASET) == candidate_key(project, DATASET)
    renumbered = DATASET.model_copy(update={"version": 4})
    assert candidate_key(project, renumbered) == candidate_key(project, DATASET)


def test_the_code_digest_follows_the_sources_and_not_their_place(tmp_path):
    for folder in ("training", "vision"):
        shutil.copytree(
            REPOSITORY / "include" / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    assert digest_code(tmp_path) == digest_code()
    (tmp_path / "training" / "shortcuts.py").write_text("changed")
    assert digest_code(tmp_path) == digest_code()
    (tmp_path / "vision" / "networks.py").write_text("changed")
    assert digest_code(tmp_path) != digest_code()


def test_training_runs_nothing_that_is_left_out_of_the_code_digest():
    seen, ahead = set(), {"training/fit.py", *(f"training/{path.name}" for path in TRAINING.glob("worker*.py"))}
    while ahead:
        seen.add(name := ahead.pop())
        tree = ast.parse((TRAINING.parent / name).read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        modules = {node.module for node in imports} | {f"{n.module}.{a.name}" for n in imports for a in n.names}
        files = {f"{module.removeprefix('include.').replace('.', '/')}.py" for module in modules}
        ahead |= {file for file in files if (TRAINING.parent / file).is_file()} - seen
    assert {"training/optimise.py", "vision/networks.py"} < seen
    assert not UNRELATED & seen
    assert all((TRAINING.parent / name).is_file() for name in UNRELATED)


def test_the_environment_names_what_else_makes_the_weights(project, monkeypatch, tmp_path):
    described = describe_environment(project)
    assert described["windhover.lock"] == digest_bytes((REPOSITORY / "requirements.lock").read_bytes())
    assert all(described.values())
    monkeypatch.setattr(provenance, "LOCK", tmp_path / "absent")
    assert describe_environment(project)["windhover.lock"] == "none"
