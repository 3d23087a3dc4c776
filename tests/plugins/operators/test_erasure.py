import pytest

from include.contracts import ErasureReport, ErasureRequest
from include.errors import LeaseHeldError
from tests.plugins.samples import digest
from tests.plugins.task_runs import make_run, run_task

SUBJECT = "1017"
RECEIPT = ErasureReport(
    project="digits",
    images=(digest("a"),),
    subject=digest("b"),
    reason="request 5",
    requested_by="ada",
    versions=(1, 2),
    version=3,
    files=(),
    models=(digest("d"),),
    sources=("2026-11-20/images/a.png",),
)


@pytest.fixture
def dag(load_dag, machine, tracking):
    return load_dag("forget_images")


def forget(api_server, dag, **form):
    run = make_run(dag.dag_id, "manual", conf={"reason": "request 5"} | form, triggering_user_name="ada")
    return run_task(api_server, dag, "forget_images", run)


@pytest.mark.parametrize(
    ("form", "digests", "subject"),
    [
        pytest.param({"digest": digest("a")}, (digest("a"),), None, id="image"),
        pytest.param({"subject": SUBJECT}, (), SUBJECT, id="subject"),
        pytest.param({}, (), None, id="neither"),
    ],
)
def test_the_form_says_what_to_forget(dag, api_server, stages, project, form, digests, subject):
    calls = stages.replace("include.data.erasure.forget_images", RECEIPT)

    forget(api_server, dag, **form)

    assert calls[0]["project"] == project
    assert calls[0]["request"] == ErasureRequest(
        digests=digests, subject=subject, reason="request 5", requested_by="ada"
    )
    assert calls[0]["holder"] == "digits.forget_images/manual__1"
    assert ErasureReport.model_validate(api_server.returned["forget_images"]) == RECEIPT


def test_the_key_of_a_subject_is_in_no_result_field_or_log(dag, api_server, stages, capsys):
    stages.replace("include.data.erasure.forget_images", RECEIPT)
    outcome = forget(api_server, dag, subject="Jane-4711")
    assert outcome.state == "success"
    assert "Jane-4711" not in repr(api_server.messages)
    assert "Jane-4711" not in capsys.readouterr().out


def test_the_log_says_when_nothing_was_found(dag, api_server, stages, capsys):
    stages.replace("include.data.erasure.forget_images", RECEIPT.model_copy(update={"summary": "nothing was found"}))
    forget(api_server, dag, subject=SUBJECT)
    assert "nothing was found; 1 model(s) that learned from them" in capsys.readouterr().out


def test_a_dataset_that_is_being_written_is_waited_for(dag, api_server, stages):
    stages.replace("include.data.erasure.forget_images", LeaseHeldError("taken"))
    assert forget(api_server, dag, subject=SUBJECT).state == "up_for_retry"
