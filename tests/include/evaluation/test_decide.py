import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts import BudgetReport, ComparisonReport, DatasetRef, EvaluationReport, ModelRef
from include.errors import ContractViolationError
from include.evaluation.decide import decide_promotion
from include.project import GateConfig, PromotionPolicy
from include.storage import digest_bytes

POLICY = PromotionPolicy()
POINTS = PromotionPolicy(require_significance=False)
MEASURES = {"log_loss": 0.2, "calibration_error": 0.05}


def report(model="candidate", *, accuracy=0.95, recall=0.80, test="test", images=100, measures=MEASURES):
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
        measures=measures,
    )


def champion(accuracy=0.94):
    return report("champion", accuracy=accuracy)


def compare(candidate=0.95, incumbent=0.94, spread=0.009, measure="accuracy", better="higher", **found):
    difference = candidate - incumbent
    return ComparisonReport(
        measure=measure,
        better=better,
        candidate=candidate,
        champion=incumbent,
        low=difference - spread,
        high=difference + spread,
        p_value=found.get("p_value", 0.01 if measure == "accuracy" else None),
        groups=found.get("groups", 100),
    )


def decide(candidate, incumbent, policy=POLICY, comparisons=None):
    if comparisons is None:
        comparisons = [compare(candidate.accuracy, incumbent.accuracy)] if incumbent else []
    return decide_promotion(candidate, incumbent, policy, comparisons)


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
    decision = decide(candidate, incumbent)
    assert decision.verdict == verdict
    assert any(reason in line for line in decision.reasons), decision.reasons
    assert (decision.candidate, decision.champion) == (candidate, incumbent)


@pytest.mark.parametrize(
    ("gate", "verdict", "reason"),
    [
        (GateConfig(measure="calibration_error", max=0.05), "promote", "calibration_error 0.0500 <= 0.0500, its gate"),
        (GateConfig(measure="calibration_error", max=0.04), "reject", "calibration_error 0.0500 > 0.0400, its gate"),
        (GateConfig(measure="macro_f1", min=0.95), "promote", "macro_f1 0.9500 >= 0.9500, its gate"),
        (GateConfig(measure="macro_f1", min=0.96), "reject", "macro_f1 0.9500 < 0.9600, its gate"),
        (GateConfig(measure="log_loss", min=0.1, max=0.15), "reject", "log_loss 0.2000 > 0.1500, its gate"),
    ],
)
def test_a_gate_is_reached_or_not(gate, verdict, reason):
    decision = decide(report(), None, PromotionPolicy(gates=(gate,)))
    assert (decision.verdict, reason in decision.reasons) == (verdict, True), decision.reasons


@pytest.mark.parametrize(
    ("exceeded", "verdict"), [((), "promote"), (("latency_ms 9 is above the budget of 5",), "reject")]
)
def test_a_budget_is_kept_or_not(exceeded, verdict):
    costs = {"latency_ms": 9, "images_per_second": 1, "model_mb": 1, "memory_mb": 1}
    budget = BudgetReport(**costs, exceeded=exceeded)
    decision = decide(report().model_copy(update={"budget": budget}), None)
    assert decision.verdict == verdict
    assert (exceeded or ("within the budgets of an answer",))[0] in decision.reasons


@pytest.mark.parametrize("measures", [{}, {"auc_roc": math.nan}, {"auc_roc": math.inf}])
def test_a_gate_without_a_measure_is_an_error_and_no_pass(measures):
    policy = PromotionPolicy(gates=(GateConfig(measure="auc_roc", min=-1e9, max=1e9),))
    with pytest.raises(ContractViolationError, match="'auc_roc' has nothing to judge"):
        decide(report(measures=measures), None, policy)


@pytest.mark.parametrize("comparisons", [[], [compare(measure="macro_f1")]])
def test_a_champion_that_was_not_compared_is_an_error_and_no_pass(comparisons):
    with pytest.raises(ContractViolationError, match="better_on names 'accuracy', on which the two models were not"):
        decide(report(), champion(), comparisons=comparisons)


def test_better_on_a_measure_where_less_is_better():
    policy = PromotionPolicy(better_on="log_loss")
    accuracy, loss = compare(0.94, 0.94), {"measure": "log_loss", "better": "lower"}
    assert decide(report(), champion(), policy, [accuracy, compare(0.1, 0.2, **loss)]).verdict == "promote"
    assert decide(report(), champion(), policy, [accuracy, compare(0.2, 0.1, **loss)]).verdict == "reject"


@pytest.mark.parametrize(
    ("spread", "verdict"), [(0.02, "not_enough_evidence"), (0.01, "not_enough_evidence"), (0.009, "promote")]
)
def test_a_gain_that_may_be_chance_is_not_enough_where_significance_is_required(spread, verdict):
    comparisons = [compare(0.95, 0.94, spread)]
    assert decide(report(), champion(), POINTS, comparisons).verdict == "promote"
    decision = decide(report(), champion(), POLICY, comparisons)
    assert decision.verdict == verdict
    assert any(reason.endswith("McNemar p 0.01), same 100 test images") for reason in decision.reasons)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"p_value": 0.05}, "promote"),
        ({"p_value": 0.0625}, "not_enough_evidence"),
        ({"groups": 6}, "promote"),
        ({"groups": 5}, "not_enough_evidence"),
        ({"groups": 1, "p_value": None}, "not_enough_evidence"),
        ({"groups": None, "p_value": None}, "promote"),
    ],
)
def test_an_interval_of_few_answers_does_not_outweigh_an_exact_test(found, verdict):
    decision = decide(report(), champion(), POLICY, [compare(**found)])
    assert decision.verdict == verdict
    groups = found.get("groups")
    assert decision.reasons[-1].endswith(f"same 100 test images of {groups} groups" if groups else "test images")
    assert decide(report(), champion(), POINTS, [compare(**found)]).verdict == "promote"


@pytest.mark.parametrize("policy", [POLICY, POINTS])
def test_no_better_is_a_rejection_however_wide_the_interval(policy):
    assert decide(report(accuracy=0.94), champion(), policy, [compare(0.94, 0.94, 0.5)]).verdict == "reject"


@pytest.mark.parametrize(("drop", "verdict"), [(0.0, "reject"), (0.029, "reject"), (0.03, "promote")])
def test_another_measure_must_not_be_shown_to_be_worse_than_tolerated(drop, verdict):
    policy = PromotionPolicy(max_accuracy_drop=drop)
    loss = compare(0.25, 0.20, 0.02, measure="log_loss", better="lower")
    decision = decide(report(), champion(), policy, [compare(0.95, 0.94, 0.001), loss])
    assert decision.verdict == verdict
    assert any("worse: log_loss 0.2500 against" in line for line in decision.reasons) == (verdict == "reject")


@pytest.mark.parametrize(
    ("drop", "gated", "verdict"),
    [(0.0, True, "not_enough_evidence"), (0.01, True, "promote"), (0.0, False, "promote")],
)
def test_a_gated_measure_must_be_shown_to_be_no_worse_where_significance_is_required(drop, gated, verdict):
    gates = (GateConfig(measure="macro_f1", min=0.5),) if gated else ()
    policy = PromotionPolicy(require_significance=True, max_accuracy_drop=drop, gates=gates)
    comparisons = [compare(0.95, 0.90, 0.01), compare(0.95, 0.94, 0.015, measure="macro_f1")]
    assert decide(report(), champion(), policy, comparisons).verdict == verdict


@pytest.mark.parametrize(
    ("bounds", "ours", "theirs", "drop", "verdict"),
    [
        ({"min": 0.5}, 0.90, 0.91, 0.0, "not_enough_evidence"),
        ({"min": 0.5}, 0.90, 0.91, 0.01, "promote"),
        ({"min": 0.5}, 0.91, 0.90, 0.0, "promote"),
        ({"max": 0.95}, 0.91, 0.90, 0.0, "not_enough_evidence"),
        ({"max": 0.95}, 0.90, 0.91, 0.0, "promote"),
        ({"min": 0.5, "max": 0.95}, 0.91, 0.90, 0.0, "promote"),
    ],
)
def test_a_gate_without_an_interval_is_held_against_the_champion_and_says_so(bounds, ours, theirs, drop, verdict):
    gates = (GateConfig(measure="robustness", **bounds),)
    candidate, old = (
        one.model_copy(update={"measures": {"robustness": value}})
        for one, value in ((report(), ours), (champion(), theirs))
    )
    decision = decide(candidate, old, PromotionPolicy(gates=gates, max_accuracy_drop=drop))
    assert decision.verdict == verdict
    said = f"robustness {ours:.4f} against the champion's {theirs:.4f}, compared without an interval"
    assert any(said in reason for reason in decision.reasons)
    assert decide(candidate, old, PromotionPolicy(gates=gates, require_significance=False)).verdict == "promote"


def test_a_rejection_weighs_more_than_missing_evidence():
    decision = decide(report(recall=0.1), champion(), POLICY, [compare(0.95, 0.94, 0.5)])
    assert decision.verdict == "reject"
    assert len(decision.reasons) == 1


def test_a_rejection_gives_only_what_failed():
    decision = decide(report(accuracy=0.5, recall=0.1), champion(), comparisons=[compare(0.5, 0.94, 0.5)])
    assert len(decision.reasons) == 3
    assert all("<" in line or "no better" in line for line in decision.reasons)


def test_refuses_to_compare_across_test_sets():
    with pytest.raises(ContractViolationError, match="evaluate both on the candidate's dataset"):
        decide(report(test="other"), champion())


fractions = st.floats(0, 1)


@given(fractions, fractions, st.one_of(st.none(), fractions), st.floats(0, 0.2), st.floats(0, 0.3), st.booleans())
def test_a_promoted_model_meets_every_rule_and_says_why(accuracy, recall, incumbent, drop, spread, sure):
    policy = PromotionPolicy(max_accuracy_drop=drop, require_significance=sure)
    old = None if incumbent is None else champion(incumbent)
    comparisons = [] if incumbent is None else [compare(accuracy, incumbent, spread)]
    decision = decide(report(accuracy=accuracy, recall=recall), old, policy, comparisons)
    assert decision.reasons

    def holds(slack):
        gain = math.inf if incumbent is None else accuracy - incumbent
        floors = accuracy >= 0.85 - slack and recall >= 0.60 - slack
        return floors and gain > -slack, gain - spread > -slack or not sure

    loose, strict = holds(2e-9), holds(-2e-9)
    if decision.verdict == "promote":
        assert all(loose)
    elif decision.verdict == "reject":
        assert not strict[0]
    else:
        assert loose[0]
        assert not strict[1]
