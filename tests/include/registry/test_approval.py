from datetime import UTC, datetime

import pytest

from include.errors import NotCertifiedError
from include.ledger.audit import verify_chain
from include.project import GovernanceConfig
from include.registry.approval import describe_promotion, find_trainer, needs_approval, settle_approval
from include.tracking import TRAINER_TAG

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture
def model(decide, tracking):
    """A promoted model whose training a person started."""
    model = decide().candidate.model
    with tracking.connect() as client:
        client.set_tag(model.run_id, TRAINER_TAG, "ada")
    return model


@pytest.fixture
def settle(model, ledger, tracking):
    def answer(approved, approver, reason="looks right"):
        return settle_approval(model, ledger, tracking, approved=approved, approver=approver, reason=reason, at=AT)

    return answer


@pytest.mark.parametrize(
    ("policy", "first", "later"), [("auto", False, False), ("first_release", True, False), ("always", True, True)]
)
def test_the_policy_says_which_promotions_need_a_person(decide, policy, first, later):
    governance = GovernanceConfig.model_construct(approval=policy)
    promoted = decide()
    crowned = promoted.model_copy(update={"champion": promoted.candidate})
    assert (needs_approval(promoted, governance), needs_approval(crowned, governance)) == (first, later)
    for verdict in ("reject", "not_enough_evidence"):
        assert not needs_approval(promoted.model_copy(update={"verdict": verdict}), governance)


def test_another_person_answers_for_the_model(settle, model, ledger, store):
    approval = settle(True, "bea")
    assert (approval.approver, approval.reason, approval.at) == ("bea", "looks right", AT)
    [entry], _ = verify_chain(ledger, model.project, store)
    assert (entry.kind, entry.who, entry.why, entry.payload) == ("approval", "bea", "looks right", {"approved": True})


def test_who_started_the_training_cannot_approve_it_but_may_turn_it_down(settle, model, ledger, store, tracking):
    assert find_trainer(model, tracking) == "ada"
    with pytest.raises(NotCertifiedError, match=r"ada started the training .* let somebody else answer"):
        settle(True, "ada")
    assert verify_chain(ledger, model.project, store)[0] == ()
    assert settle(False, "ada", "blurred lens") is None


def test_no_answer_in_time_is_a_rejection_on_the_chain(settle, model, ledger, store):
    assert settle(False, None, "nobody answered in time") is None
    [entry], _ = verify_chain(ledger, model.project, store)
    assert (entry.who, entry.payload) == ("nobody", {"approved": False})


def test_the_question_names_what_is_known_and_where_to_read_it(decide):
    text = describe_promotion(decide(), {"Evaluation": "/windhover/reports/e", "MLflow run": "http://m/1"}, "ada")
    assert "99.00%** right" in text
    assert "first release" in text
    assert "[Evaluation](/windhover/reports/e) · [MLflow run](http://m/1)" in text
    assert "- accuracy 0.9900 is enough" in text
    assert "ada started the training and cannot approve it." in text
    assert "No person started the training." in describe_promotion(decide(), {}, None)
