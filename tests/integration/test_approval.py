"""A promotion that waits for a person, on the real stack: asked, seen, approved, refused and rejected."""

import pytest
from mlflow import MlflowClient

from include.ledger.certificates import find_certificate
from include.ledger.chronicle import list_entries
from include.ledger.models import find_model_version
from include.vision.certificates import read_certificate
from tests.integration.datasets import read_page
from tests.integration.promotions import SIGNS, TASK, Promotions

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def promotions(stack, ledger, store, tmp_path_factory):
    return Promotions(stack, ledger, store, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(promotions, digit_images):
    return promotions.publish(digit_images[:40])


@pytest.fixture(scope="module")
def waiting(promotions, dataset):
    """A candidate that ada trained, and the run that asks for it."""
    model = promotions.announce(dataset, "ada")
    return model, promotions.ask(model)


def list_kinds(ledger):
    return [(one.kind, one.who, one.why) for one in list_entries(ledger, SIGNS, 100) if one.kind != "verdict"]


def test_the_question_says_what_is_known_and_leads_to_the_evidence(promotions, waiting, stack):
    question = promotions.read_question(waiting[1])
    assert question["subject"] == "Promote a new model of Handwritten digits?"
    assert question["options"] == ["Approve", "Reject"]
    assert "40 sealed test images" in question["body"]
    report = question["body"].split("[Evaluation](")[1].split(")")[0]
    assert "Mistakes it was surest of" in stack.airflow.get(report).raise_for_status().text


@pytest.mark.browser
def test_the_approver_finds_it_under_required_actions(signed_in, waiting, stack, tmp_path):
    signed_in.goto(f"{stack.airflow_url}/required_actions")
    signed_in.get_by_text("Promote a new model of Handwritten digits?").first.wait_for()
    signed_in.screenshot(path=tmp_path / "required_actions.png", full_page=True)
    signed_in.get_by_text("Promote a new model of Handwritten digits?").first.click()
    signed_in.get_by_role("link", name="Evaluation").first.wait_for()
    signed_in.screenshot(path=tmp_path / "question.png", full_page=True)
    assert "cannot approve it" in signed_in.inner_text("body")
    assert signed_in.get_by_role("button", name="Approve").first.is_visible()


def test_an_approved_model_is_registered_with_the_approver_in_its_certificate(
    promotions, waiting, stack, ledger, store
):
    model, run = waiting
    states = promotions.answer(run, "Approve", "seen by eye")
    assert (states[TASK], states["register_model"]) == ("success", "success")
    version = find_model_version(ledger, SIGNS, key=model.key)
    certificate = read_certificate(find_certificate(ledger, SIGNS, version.version), store)
    assert [(one.approver, one.reason) for one in certificate.approvals] == [("admin", "seen by eye")]
    assert ("approval", "admin", "seen by eye") in list_kinds(ledger)
    for page in ("models", "audit"):
        shown = read_page(stack, f"{page}/{SIGNS}")
        assert ">verified</span>" in shown
        assert "seen by eye" in shown


def test_the_trainers_own_answer_is_refused_and_a_rejection_registers_nothing(
    promotions, dataset, waiting, stack, ledger
):
    model = promotions.announce(dataset, "admin")
    run = promotions.ask(model)
    states = promotions.answer(run, "Approve", "I made it")
    assert (states[TASK], states["register_model"]) == ("failed", "upstream_failed")
    assert "admin started the training" in promotions.read_log(run)

    promotions.clear(run)
    promotions.wait_for_question(run)
    states = promotions.answer(run, "Reject", "too dark")
    assert (states[TASK], states["register_model"]) == ("skipped", "skipped")
    assert find_model_version(ledger, SIGNS, key=model.key) is None
    assert len(MlflowClient(stack.mlflow_url).search_model_versions(f"name = '{SIGNS}'")) == 1
    assert [entry for entry in list_kinds(ledger) if entry[1:] == ("admin", "I made it")] == []
    assert list_kinds(ledger)[0] == ("approval", "admin", "too dark")
