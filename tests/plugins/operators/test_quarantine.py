import pytest

from include.contracts import ValidationReport
from include.errors import ArtifactNotFoundError
from include.ledger.quality import find_release, record_validation
from tests.plugins.samples import DAY, VALIDATION
from tests.plugins.task_runs import make_run, run_task

FORM = {"partition": DAY, "reason": "5"}


@pytest.fixture
def dag(load_dag, ledger_connection):
    return load_dag("release_quarantine")


def release(api_server, dag, **values):
    run = make_run(dag.dag_id, "manual", conf=FORM, **values)
    return run_task(api_server, dag, "release_quarantine", run)


@pytest.mark.parametrize(("user", "approver"), [("ada", "ada"), (None, "unknown")])
def test_the_failed_validation_is_released_by_who_triggered_it(dag, api_server, stages, user, approver):
    calls = stages.replace("include.data.quarantine.release_quarantine", VALIDATION)
    release(api_server, dag, triggering_user_name=user)
    assert (calls[0]["partition"], calls[0]["reason"], calls[0]["released_by"]) == (DAY, "5", approver)


def test_a_released_partition_is_in_the_ledger_and_its_evidence_is_linked(dag, api_server, ledger, capsys):
    record_validation(ledger, VALIDATION, passed=False)

    outcome = release(api_server, dag, triggering_user_name="ada")

    assert find_release(ledger, VALIDATION) == "5"
    assert ValidationReport.model_validate(api_server.returned["release_quarantine"]) == VALIDATION
    assert set(outcome.links) == {"_link_data_docs", "_link_quarantine"}
    assert "Next: clear the failed run of digits.ingest_images" in capsys.readouterr().out


def test_a_day_that_did_not_fail_cannot_be_released(dag, api_server, ledger):
    record_validation(ledger, VALIDATION, passed=True)
    outcome = release(api_server, dag)
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)
