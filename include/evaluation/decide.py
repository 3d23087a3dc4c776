"""Decide whether a candidate replaces the champion."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from include.contracts import ComparisonReport, EvaluationReport, PromotionDecision
from include.errors import ContractViolationError
from include.project import GateConfig, PromotionPolicy

# Measures are fractions of counts: differences below this are rounding, not evidence.
DIGITS = 9
NAMED = ("accuracy", "macro_f1", "worst_class_recall")

Verdict = Literal["promote", "reject", "not_enough_evidence"]
Finding = tuple[Verdict, str]


def decide_promotion(
    candidate: EvaluationReport,
    champion: EvaluationReport | None,
    policy: PromotionPolicy,
    comparisons: Sequence[ComparisonReport] = (),
) -> PromotionDecision:
    """Hold the candidate against the policy's floors and gates and, on the same test images, against the champion.

    It is promoted if every floor, gate and budget is kept (reaching is enough) and, where a champion serves,

    - it is better on `better_on`: an equal model is rejected, for a release must buy something;
    - no compared measure is shown to be worse: none has its whole interval beyond `max_accuracy_drop`.

    With `require_significance`, the interval of `better_on` must lie above 0, and no exact test allow for chance; the
    interval of every gated measure must lie above minus `max_accuracy_drop` (non-inferiority: ICH E9, 3.3.2). A gated
    measure without an interval is held against the champion's figure, and a reason says so. A candidate that only
    these stop has not enough evidence. The champion itself is never promoted again.

    :param comparisons: Of candidate and champion, as `compare_models` makes them.
    :raises ContractViolationError: the two reports are about different test images, or a measure that the policy names
        was not measured.
    """
    if champion and champion.test_digest != candidate.test_digest:
        raise ContractViolationError(
            f"candidate {candidate.model.key} was measured on test images {candidate.test_digest}, champion "
            f"{champion.model.key} on {champion.test_digest}; evaluate both on the candidate's dataset"
        )
    findings = [*_check_floors(candidate, policy), *_check_gates(candidate, policy), *_check_budget(candidate)]
    if champion:
        findings += _check_champion(candidate, champion, policy, {one.measure: one for one in comparisons})
    verdict, reasons = _conclude(findings)
    if not champion:
        reasons.append("no champion to compare with")
    return PromotionDecision(
        verdict=verdict,
        candidate=candidate,
        champion=champion,
        comparisons=tuple(comparisons) if champion else (),
        reasons=tuple(reasons),
    )


def _conclude(findings: Sequence[Finding]) -> tuple[Verdict, list[str]]:
    """Return the worst of the findings with what speaks for it, and for a promotion everything."""
    for worst in ("reject", "not_enough_evidence"):
        if reasons := [evidence for verdict, evidence in findings if verdict == worst]:
            return worst, reasons
    return "promote", [evidence for _, evidence in findings]


def _check_floors(candidate: EvaluationReport, policy: PromotionPolicy) -> Iterator[Finding]:
    measured = f"measured on {candidate.images} test images"
    yield ("promote" if candidate.images > 0 else "reject"), measured
    yield _hold("accuracy", candidate.accuracy, ">=", policy.min_accuracy, "the policy's floor")
    yield _hold(
        *("worst-class recall", candidate.worst_class_recall, ">=", policy.min_worst_class_recall),
        "the policy's floor",
    )


def _check_gates(candidate: EvaluationReport, policy: PromotionPolicy) -> Iterator[Finding]:
    for gate in policy.gates:
        value = _read_measure(candidate, gate.measure)
        if gate.min is not None:
            yield _hold(gate.measure, value, ">=", gate.min, "its gate")
        if gate.max is not None:
            yield _hold(gate.measure, value, "<=", gate.max, "its gate")


def _check_budget(candidate: EvaluationReport) -> list[Finding]:
    if candidate.budget is None:
        return []
    return [("reject", over) for over in candidate.budget.exceeded] or [("promote", "within the budgets of an answer")]


def _hold(name: str, value: float, sign: Literal[">=", "<="], bound: float, whose: str) -> Finding:
    distance = value - bound if sign == ">=" else bound - value
    passed = round(distance, DIGITS) >= 0
    missed = {">=": "<", "<=": ">"}[sign]
    return "promote" if passed else "reject", f"{name} {value:.4f} {sign if passed else missed} {bound:.4f}, {whose}"


def _read_measure(report: EvaluationReport, name: str) -> float:
    measures = {own: getattr(report, own) for own in NAMED} | report.measures
    value = measures.get(name, math.nan)
    if not math.isfinite(value):
        raise ContractViolationError(
            f"gate {name!r} has nothing to judge: model {report.model.key} was not measured on it; measured: "
            f"{', '.join(sorted(measures))}"
        )
    return float(value)


def _check_champion(
    candidate: EvaluationReport,
    champion: EvaluationReport,
    policy: PromotionPolicy,
    compared: dict[str, ComparisonReport],
) -> list[Finding]:
    if candidate.model.key == champion.model.key:
        return [("reject", f"already champion: both are model {candidate.model.key}")]
    if policy.better_on not in compared:
        raise ContractViolationError(
            f"promotion.better_on names {policy.better_on!r}, on which the two models were not compared; compared: "
            f"{', '.join(sorted(compared)) or 'nothing'}"
        )
    groups = compared[policy.better_on].groups
    shared = f"same {candidate.images} test images" + (
        "" if groups in {None, candidate.images} else f" of {groups} groups"
    )
    gated = {gate.measure for gate in policy.gates} if policy.require_significance else set()
    others = [_check_loss(one, policy, must_show=name in gated) for name, one in compared.items()]
    bare = [_check_point(gate, candidate, champion, policy) for gate in policy.gates if gate.measure not in compared]
    return [_check_gain(compared[policy.better_on], policy, shared), *filter(None, others), *bare]


def _check_gain(comparison: ComparisonReport, policy: PromotionPolicy, shared: str) -> Finding:
    gain, worst, _ = (round(value, DIGITS) for value in comparison.gain)
    described = f"{_describe(comparison, policy)}, {shared}"
    if gain <= 0:
        return "reject", f"no better: {described}"
    if policy.require_significance and (worst <= 0 or _may_be_chance(comparison, 1 - policy.confidence)):
        return "not_enough_evidence", f"better by what may be chance: {described}"
    return "promote", f"better: {described}"


def _may_be_chance(comparison: ComparisonReport, level: float) -> bool:
    """Tell whether an exact test allows for chance: the bootstrap's interval is too narrow where few answers differ."""
    # However few groups there are, one model may win them all: two-sided, by chance this often.
    least = 0.0 if comparison.groups is None else 2.0 ** (1 - comparison.groups)
    return max(least, comparison.p_value or 0.0) > level


def _check_loss(comparison: ComparisonReport, policy: PromotionPolicy, *, must_show: bool) -> Finding | None:
    """Tell whether the candidate lost more than it may; a measure with nothing to say about it has no finding."""
    _, worst, best = (round(value + policy.max_accuracy_drop, DIGITS) for value in comparison.gain)
    described = f"{_describe(comparison, policy)}, tolerated {policy.max_accuracy_drop:.4f}"
    if best < 0:
        return "reject", f"worse: {described}"
    if must_show and worst < 0:
        return "not_enough_evidence", f"perhaps worse: {described}"
    return None


def _check_point(
    gate: GateConfig, candidate: EvaluationReport, champion: EvaluationReport, policy: PromotionPolicy
) -> Finding:
    """Hold figures against each other where no interval can be had; of a gate on both sides, neither is better."""
    ours, theirs = (_read_measure(report, gate.measure) for report in (candidate, champion))
    described = f"{gate.measure} {ours:.4f} against the champion's {theirs:.4f}, compared without an interval"
    loss = theirs - ours if gate.max is None else ours - theirs if gate.min is None else 0.0
    if policy.require_significance and round(loss - policy.max_accuracy_drop, DIGITS) > 0:
        return "not_enough_evidence", f"perhaps worse: {described}, tolerated {policy.max_accuracy_drop:.4f}"
    return "promote", described


def _describe(comparison: ComparisonReport, policy: PromotionPolicy) -> str:
    chance = "" if comparison.p_value is None else f", McNemar p {comparison.p_value:.3g}"
    return (
        f"{comparison.measure} {comparison.candidate:.4f} against the champion's {comparison.champion:.4f} (difference "
        f"{comparison.low:+.4f} to {comparison.high:+.4f} at {policy.confidence:.0%}{chance})"
    )
