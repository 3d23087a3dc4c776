from datetime import UTC, datetime

import pytest

from include.contracts.retirement import RetirementReport
from include.errors import ContractViolationError
from tests.plugins.samples import DATASET
from tests.plugins.task_runs import make_run, run_task

TOMBSTONE = RetirementReport(
    version=3, model_key=DATASET.digest, retired_by="ada", reason="a toy",
    retired_at=datetime(2026, 3, 1, tzinfo=UTC), bundle=DATASET.digest, address="digits/archive/3",
)  # fmt: skip


@pytest.fixture
def retire(load_dag, machine, api_server, tracking):
    """Give a function that runs the DAG with a form."""
    dag = load_dag("retire_model")

    def run(who="ada", **form):
        made = make_run(dag.dag_id, "manual", conf={"version": 3, "reason": "a toy"} | form, triggering_user_name=who)
        return run_task(api_server, dag, "retire_model", made)

    return run


@pytest.mark.parametrize(("who", "named"), [("ada", "ada"), (None, "unknown")])
def test_the_version_of_the_form_is_retired_in_the_name_of_who_asked(retire, stages, api_server, project, who, named):
    calls = stages.replace("include.registry.retirement.retire_model", TOMBSTONE)
    assert retire(who).state == "success"
    assert {name: calls[0][name] for name in ("version", "project", "who", "why")} == {
        "version": 3, "project": project, "who": named, "why": "a toy",
    }  # fmt: skip
    assert RetirementReport.model_validate(api_server.returned["retire_model"]) == TOMBSTONE


def test_a_version_that_is_needed_fails_the_run_at_once(retire, stages):
    stages.replace("include.registry.retirement.retire_model", ContractViolationError("version 3 is champion"))
    assert retire().state == "failed"
