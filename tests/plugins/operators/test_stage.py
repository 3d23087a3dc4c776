import pytest
from pydantic import ValidationError

from include.storage import Store
from tests.plugins.samples import DATASET, VALIDATION
from tests.plugins.task_runs import make_run
from windhover.operators.stage import StageOperator, name_attempt


def make_stage(project):
    return StageOperator(task_id="stage", project=project)


def test_reads_the_whole_project_back(project):
    assert make_stage(project.model_dump(mode="json")).read_project() == project


def test_refuses_a_project_with_an_unknown_setting(project):
    with pytest.raises(ValidationError, match="colour"):
        make_stage(project.model_dump(mode="json") | {"colour": "red"}).read_project()


def test_locations_are_read_when_asked_for(project, machine, monkeypatch):
    stage = make_stage(project.model_dump(mode="json"))
    assert stage.open_store().root == str(machine / "store")
    monkeypatch.setenv("WINDHOVER_STORE", "/elsewhere")
    assert stage.open_store().root == Store("/elsewhere").root
    assert stage.read_settings().store_uri == "/elsewhere"


def test_ledger_comes_from_the_connection_and_mlflow_from_the_settings(project, machine, tracking, monkeypatch):
    monkeypatch.setenv("WINDHOVER_MLFLOW_PUBLIC", "https://mlflow.example")
    stage = make_stage(project.model_dump(mode="json"))
    assert (stage.open_ledger().url.host, stage.open_ledger().url.password) == ("127.0.0.1", "secret")
    assert stage.open_tracking().uri == "http://mlflow:5500"
    assert stage.open_tracking().run_url("7") == "https://mlflow.example/#/runs/7"


def test_evidence_is_not_shared_between_tasks(project):
    first, second = (make_stage(project.model_dump(mode="json")) for _ in range(2))
    first.evidence["Endpoint"] = "here"
    assert second.evidence == {}


def test_lineage_is_what_was_read_and_written(project, machine):
    stage = make_stage(project.model_dump(mode="json"))
    stage.reads, stage.writes = [VALIDATION], [DATASET]
    lineage = stage.get_openlineage_facets_on_complete(None)
    assert [one.name for one in lineage.inputs] == [str(machine / "store" / VALIDATION.address)]
    assert [one.name for one in lineage.outputs] == [str(machine / "store" / DATASET.address)]


def test_every_attempt_of_a_run_has_the_same_name():
    run = make_run("digits.ingest_images", "scheduled")
    assert name_attempt({"dag_run": run, "run_id": run.run_id}) == "digits.ingest_images/scheduled__1"
