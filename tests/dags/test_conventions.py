"""What every DAG of every project keeps to."""

import importlib
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).parents[2]
FILES = sorted(path.stem for path in (ROOT / "dags").glob("[!_]*.py"))
STAGES = [stem for stem in FILES if stem != "project_files"]
TAGS = {"data", "model", "deployment", "monitoring", "maintenance"}
MAX_TASKS = 10

SECOND_PROJECT = """
name: leaves
classes: [healthy, spotted]
"""


def parse(stem: str) -> dict[str, DAG]:
    """Execute a DAG file the way the dag processor does, and collect what it defines."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags" / f"{stem}.py")
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    return {dag_id: dag for stem in FILES for dag_id, dag in parse(stem).items()}


def test_one_dag_per_file_and_project_named_after_both(dags):
    assert sorted(dags) == sorted(f"digits.{stem}" for stem in STAGES)
    assert all(Path(dag.fileloc).stem == dag_id.split(".")[1] for dag_id, dag in dags.items())


@pytest.mark.parametrize("stem", STAGES)
def test_every_dag_explains_itself(dags, stem):
    dag = dags[f"digits.{stem}"]
    parts = ("**Runs**", "**Produces**", "re-run", "ackfill", "Runbook:")
    assert [part for part in parts if part not in dag.doc_md] == [], f"{stem}: say when, what, whether, where"
    assert dag.tags - {"digits"} <= TAGS
    assert "digits" in dag.tags
    assert len(dag.tasks) <= MAX_TASKS, f"{stem}: {len(dag.tasks)} tasks; cut it at an asset"


@pytest.mark.parametrize("stem", STAGES)
def test_every_task_is_one_of_ours_and_retries_by_kind_of_error(dags, stem):
    for task in dags[f"digits.{stem}"].tasks:
        kind = task.operator_class if task.is_mapped else type(task)
        assert kind.__module__.startswith(("windhover.operators.", "windhover.sensors.")), task.task_id
        assert task.retry_policy is not None, task.task_id
        assert task.doc_md or kind.__doc__, task.task_id


@pytest.mark.parametrize("stem", STAGES)
def test_every_form_field_explains_itself(dags, stem):
    params = dags[f"digits.{stem}"].params
    for name in params:
        field = params.get_param(name)
        assert field.description, name
        assert field.schema.get("title"), name
        assert field.schema.get("type"), name
    if dags[f"digits.{stem}"].schedule is not None:
        params.validate()


def test_a_run_that_waits_for_people_has_as_much_longer_before_it_is_late(dags):
    patient = {"digits.monitor_model": 24, "digits.promote_model": 72}
    for dag_id, dag in dags.items():
        assert dag.deadline[0].interval == timedelta(hours=6 + patient.get(dag_id, 0)), dag_id


def test_where_nobody_approves_a_promotion_is_late_as_soon_as_any_other_run(tmp_path, monkeypatch):
    (tmp_path / "leaves.yaml").write_text(SECOND_PROJECT)
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path))
    assert parse("promote_model")["leaves.promote_model"].deadline[0].interval == timedelta(hours=6)


def test_a_second_project_file_makes_a_second_set_of_dags(tmp_path, monkeypatch):
    (tmp_path / "leaves.yaml").write_text(SECOND_PROJECT)
    (tmp_path / "digits.yaml").write_text((ROOT / "include/projects/digits.yaml").read_text())
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path))
    made = {dag_id for stem in FILES for dag_id in parse(stem)}
    assert made == {f"{project}.{stem}" for project in ("digits", "leaves") for stem in STAGES}


def test_a_broken_project_file_is_named_and_takes_no_other_project_down(tmp_path, monkeypatch):
    (tmp_path / "leaves.yaml").write_text(SECOND_PROJECT)
    (tmp_path / "broken.yaml").write_text("name: broken\nclasses: [a, b]\ntrainning: {}\n")
    monkeypatch.setenv("WINDHOVER_PROJECTS", str(tmp_path))
    assert sorted(parse("train_model")) == ["leaves.train_model"]

    from include.errors import ProjectFileError

    sys.modules.pop("dags.project_files", None)
    with pytest.raises(ProjectFileError, match=r"broken\.yaml: trainning: unknown key; did you mean 'training'\?"):
        importlib.import_module("dags.project_files")
