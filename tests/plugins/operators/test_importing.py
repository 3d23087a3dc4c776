import pytest

from include.contracts import ModelRef
from include.errors import ContractViolationError
from tests.include.foreign_models import deliver_model, make_sheet
from tests.plugins.samples import DATASET, MODEL
from tests.plugins.task_runs import make_run, run_task

FORM = {"file": "7.onnx"}
DATA = b"\x08\x0a\x12\x07pytorch"


@pytest.fixture
def dag(load_dag, machine, tracking):
    return load_dag("import_model")


def take_in(api_server, dag, **form):
    api_server.returned["select_dataset"] = DATASET.model_dump(mode="json")
    run = make_run(dag.dag_id, "manual", conf=FORM | form, triggering_user_name="ada")
    return run_task(api_server, dag, "import_model", run)


def test_the_file_named_in_the_form_becomes_an_announced_candidate(dag, api_server, stages, machine, project):
    calls = stages.replace("include.training.importing.import_model", MODEL)
    stages.provide("include.training.importing", "inbox_address", lambda project, file: f"{project}/models/{file}")
    deliver_model(machine / "landing" / "digits" / "models", "7.onnx", DATA)

    outcome = take_in(api_server, dag)

    assert (calls[0]["project"], calls[0]["dataset"], calls[0]["imported_by"]) == (project, DATASET, "ada")
    assert (calls[0]["foreign"].data, calls[0]["foreign"].sheet) == (DATA, make_sheet())
    assert (outcome.task.reads, outcome.task.writes) == ([DATASET], [MODEL])
    [event] = outcome.announced
    assert ModelRef.model_validate(event["extra"]) == MODEL
    assert outcome.links == {"_link_mlflow_run": "http://mlflow:5500/#/runs/run1"}


def test_a_pickle_fails_at_the_first_try(dag, api_server, stages, machine):
    calls = stages.replace("include.training.importing.import_model", MODEL)
    stages.provide("include.training.importing", "inbox_address", lambda project, file: f"{project}/models/{file}")
    deliver_model(machine / "landing" / "digits" / "models", "7.onnx", b"\x80\x04\x95")
    outcome = take_in(api_server, dag)
    assert (outcome.state, calls) == ("failed", [])
    assert isinstance(outcome.error, ContractViolationError)
    assert "nothing that could hold pickled objects is opened" in str(outcome.error)
