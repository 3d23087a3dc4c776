"""Decide whether a candidate replaces the champion."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from include.contracts import ComparisonReport, EvaluationReport, PromotionDecision
from include.errors import ContractViolationError
from include.project import PromotionPolicy

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

    With `require_significance`, the interval of `better_on` must lie above 0, and that of every gated measure that is
    compared above minus `max_accuracy_drop` (non-inferiority in the sense of ICH E9, 3.3.2). A candidate that only
    these two stop has not enough evidence. The champion itself is never promoted again.

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
    shared = f"same {candidate.images} test images"
    gated = {gate.measure for gate in policy.gates} if policy.require_significance else set()
    others = [_check_loss(one, policy, must_show=name in gated) for name, one in compared.items()]
    return [_check_gain(compared[policy.better_on], policy, shared), *filter(None, others)]


def _check_gain(comparison: ComparisonReport, policy: PromotionPolicy, shared: str) -> Finding:
    gain, worst, _ = (round(value, DIGITS) for value in comparison.gain)
    described = f"{_describe(comparison, policy)}, {shared}"
    if gain <= 0:
        return "reject", f"no better: {described}"
    if policy.require_significance and worst <= 0:
        return "not_enough_evidence", f"better by what may be chance: {described}"
    return "promote", f"better: {described}"


def _check_loss(comparison: ComparisonReport, policy: PromotionPolicy, *, must_show: bool) -> Finding | None:
    """Tell whether the candidate lost more than it may; a measure with nothing to say about it has no finding."""
    _, worst, best = (round(value + policy.max_accuracy_drop, DIGITS) for value in comparison.gain)
    described = f"{_describe(comparison, policy)}, tolerated {policy.max_accuracy_drop:.4f}"
    if best < 0:
        return "reject", f"worse: {described}"
    if must_show and worst < 0:
        return "not_enough_evidence", f"perhaps worse: {described}"
    return None


def _describe(comparison: ComparisonReport, policy: PromotionPolicy) -> str:
    chance = "" if comparison.p_value is None else f", McNemar p {comparison.p_value:.3g}"
    return (
        f"{comparison.measure} {comparison.candidate:.4f} against the champion's {comparison.champion:.4f} (difference "
        f"{comparison.low:+.4f} to {comparison.high:+.4f} at {policy.confidence:.0%}{chance})"
    )
