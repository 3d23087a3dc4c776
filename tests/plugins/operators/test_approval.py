from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, literal
from airflow.sdk.execution_time import comms

from include.contracts import ApprovalReport
from include.errors import NotCertifiedError
from include.project import GovernanceConfig, Project
from include.project.governance import EthicsConfig
from include.storage import Store
from tests.plugins.samples import MODEL, PROMOTION, REJECTION
from tests.plugins.task_runs import run_task
from windhover.defaults import dag_defaults
from windhover.operators.approval import ApprovePromotionOperator

ANSWERED = EthicsConfig(**dict.fromkeys(EthicsConfig.model_fields, "answered"))
ALWAYS = GovernanceConfig(approval="always", intended_use="digits", stakeholders=("all",), ethics=ANSWERED)
AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
APPROVAL = ApprovalReport(approver="bea", reason="looks right", at=AT)


@pytest.fixture
def ask(api_server, ledger_connection, tracking, stages):
    """Run the task for a decision; `answer` resumes it as the scheduler does."""

    def run(decision=PROMOTION, governance=ALWAYS, answer=None):
        project = Project(name="digits", classes=("0", "1"), governance=governance)
        with DAG("digits.promote_model", schedule=None, **dag_defaults(project)) as dag:
            ApprovePromotionOperator(
                task_id="approve_promotion",
                project=literal(project.model_dump(mode="json")),
                decision=literal(decision.model_dump(mode="json")),
                hours=2,
            )
        resumed = {"next_method": "execute_complete", "next_kwargs": {"event": answer}} if answer else {}
        return run_task(api_server, dag, "approve_promotion", **resumed)

    stages.replace("include.registry.approval.needs_approval", lambda decision, governance: governance == ALWAYS)
    stages.replace("include.registry.approval.find_trainer", "ada")
    stages.replace(
        "include.registry.approval.describe_promotion",
        lambda _, evidence, trainer: f"{trainer}: {' and '.join(evidence)}",
    )
    return run


def answer_with(option, user="bea", reason="looks right"):
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason},
        "responded_at": AT,
        "responded_by_user": {"id": user, "name": user} if user else None,
    }


def test_it_waits_for_an_answer_with_the_evidence_in_its_text(ask, api_server):
    outcome = ask()
    assert outcome.state == "awaiting_input"
    [asked] = [message for message in api_server.messages if isinstance(message, comms.CreateHITLDetailPayload)]
    assert (asked.options, asked.defaults) == (["Approve", "Reject"], ["Reject"])
    assert (asked.subject, asked.body) == (
        "Promote a new model of digits?",
        "ada: Evaluation and MLflow run and Versions so far",
    )
    assert "reason" in asked.params


def test_explanations_are_linked_once_they_are_written(ask, api_server, machine):
    key = MODEL.key.removeprefix("sha256:")[:12]
    Store(str(machine / "store")).write(f"digits/reports/explanations/{key}/index.html", b"")
    ask()
    [asked] = [message for message in api_server.messages if isinstance(message, comms.CreateHITLDetailPayload)]
    assert asked.body == "ada: Evaluation and Explanations and MLflow run and Versions so far"


def test_nobody_is_asked_where_the_policy_wants_nobody(ask, api_server):
    assert ask(governance=GovernanceConfig()).state == "success"
    assert not api_server.returned.get("approve_promotion")


def test_an_approval_is_handed_on(ask, api_server, stages):
    calls = stages.replace("include.registry.approval.settle_approval", APPROVAL)
    outcome = ask(answer=answer_with("Approve"))
    assert outcome.state == "success"
    assert ApprovalReport.model_validate(api_server.returned["approve_promotion"]) == APPROVAL
    assert (calls[0]["model"], calls[0]["approved"], calls[0]["approver"]) == (MODEL, True, "bea")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(answer_with("Reject", reason="too slow"), "rejected by bea: too slow", id="turned-down"),
        pytest.param(answer_with("Reject", None, ""), "rejected by nobody: nobody answered in time", id="timed-out"),
    ],
)
def test_a_rejection_ends_the_run_without_a_model(ask, stages, answer, reason, capsys):
    calls = stages.replace("include.registry.approval.settle_approval", None)
    outcome = ask(answer=answer)
    assert (outcome.state, calls[0]["approved"]) == ("skipped", False)
    assert reason in capsys.readouterr().out


def test_who_trained_it_cannot_approve_it(ask, stages):
    stages.replace("include.registry.approval.settle_approval", NotCertifiedError("bea started the training"))
    assert ask(answer=answer_with("Approve")).state == "failed"


def test_a_rejected_candidate_asks_nobody(ask, stages):
    stages.replace("include.registry.approval.needs_approval", False)
    assert ask(decision=REJECTION).state == "success"
