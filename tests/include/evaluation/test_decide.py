import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts import DatasetRef, EvaluationReport, ModelRef
from include.errors import ContractViolationError
from include.evaluation.decide import decide_promotion
from include.project import PromotionPolicy
from include.storage import digest_bytes

POLICY = PromotionPolicy()


def report(model="candidate", *, accuracy=0.95, recall=0.80, test="test", images=100):
    digest = digest_bytes(b"dataset")
    dataset = DatasetRef(project="p", address="p/images.lance", version=1, digest=digest, images=9, labelled=9)
    key = digest_bytes(model.encode())
    return EvaluationReport(
        model=ModelRef(project="p", key=key, run_id="r", weights=digest, dataset=dataset),
        test_digest=digest_bytes(test.encode()),
        images=images,
        accuracy=accuracy,
        macro_f1=accuracy,
        worst_class_recall=recall,
        recall_by_class={"a": recall, "b": 1.0},
        accuracy_by_partition={"2026-03-01": accuracy},
    )


def champion(accuracy=0.94):
    return report("champion", accuracy=accuracy)


@pytest.mark.parametrize(
    ("candidate", "incumbent", "verdict", "reason"),
    [
        pytest.param(report(), None, "promote", "no champion to compare with", id="first-model"),
        pytest.param(report(accuracy=0.85, recall=0.60), None, "promote", "0.8500 >= 0.8500", id="at-the-floors"),
        pytest.param(report(accuracy=0.84), None, "reject", "accuracy 0.8400 < 0.8500", id="below-accuracy-floor"),
        pytest.param(report(recall=0.5), None, "reject", "worst-class recall 0.5000 < 0.6000", id="class-collapsed"),
        pytest.param(report(images=0), None, "reject", "measured on 0 test images", id="no-evidence"),
        pytest.param(report(), champion(), "promote", "better: accuracy 0.9500 against", id="better"),
        pytest.param(report(accuracy=0.94), champion(), "reject", "no better", id="equal"),
        pytest.param(report(accuracy=0.93), champion(), "reject", "no better", id="worse"),
        pytest.param(report("champion"), champion(), "reject", "already champion", id="the-champion-itself"),
    ],
)
def test_verdict(candidate, incumbent, verdict, reason):
    decision = decide_promotion(candidate, incumbent, POLICY)
    assert decision.verdict == verdict
    assert any(reason in line for line in decision.reasons), decision.reasons
    assert (decision.candidate, decision.champion) == (candidate, incumbent)


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.94, "promote"), (0.931, "promote"), (0.93, "reject")])
def test_a_tolerated_drop_must_not_be_used_up(accuracy, verdict):
    policy = PromotionPolicy(max_accuracy_drop=0.01)
    assert decide_promotion(report(accuracy=accuracy), champion(), policy).verdict == verdict


def test_a_rejection_gives_only_what_failed():
    decision = decide_promotion(report(accuracy=0.5, recall=0.1), champion(), POLICY)
    assert len(decision.reasons) == 3
    assert all("<" in line or "no better" in line for line in decision.reasons)


def test_refuses_to_compare_across_test_sets():
    with pytest.raises(ContractViolationError, match="evaluate both on the candidate's dataset"):
        decide_promotion(report(test="other"), champion(), POLICY)


@given(st.floats(0, 1), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1)), st.floats(0, 0.2))
def test_a_promoted_model_meets_every_rule_and_says_why(accuracy, recall, incumbent, drop):
    policy = PromotionPolicy(max_accuracy_drop=drop)
    old = None if incumbent is None else champion(incumbent)
    decision = decide_promotion(report(accuracy=accuracy, recall=recall), old, policy)
    assert decision.reasons
    rules = [accuracy >= 0.85 - 1e-9, recall >= 0.60 - 1e-9, incumbent is None or accuracy > incumbent - drop - 1e-9]
    if decision.verdict == "promote":
        assert all(rules)
    else:
        assert not all([accuracy >= 0.85, recall >= 0.60, incumbent is None or accuracy > incumbent - drop + 1e-9])
