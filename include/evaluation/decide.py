"""Decide whether a candidate replaces the champion."""

from include.contracts import EvaluationReport, PromotionDecision
from include.errors import ContractViolationError
from include.project import PromotionPolicy

# Accuracies are fractions of counts: differences below this are rounding, not evidence.
DIGITS = 9


def decide_promotion(
    candidate: EvaluationReport, champion: EvaluationReport | None, policy: PromotionPolicy
) -> PromotionDecision:
    """Hold the candidate against the policy's floors and, on the same test images, against the champion.

    It is promoted if accuracy and worst-class recall reach their floors (reaching is enough) and, where a champion
    serves, its accuracy is strictly greater than the champion's minus `max_accuracy_drop`. So with the default of 0
    an equal model is rejected: a release must buy something. The champion itself is never promoted again.

    :raises ContractViolationError: the two reports are about different test images.
    """
    if champion and champion.test_digest != candidate.test_digest:
        raise ContractViolationError(
            f"candidate {candidate.model.key} was measured on test images {candidate.test_digest}, champion "
            f"{champion.model.key} on {champion.test_digest}; evaluate both on the candidate's dataset"
        )
    checks = [*_check_floors(candidate, policy), *(_check_champion(candidate, champion, policy) if champion else ())]
    failures = [evidence for passed, evidence in checks if not passed]
    reasons = failures or [evidence for _, evidence in checks]
    if not champion:
        reasons.append("no champion to compare with")
    return PromotionDecision(
        verdict="reject" if failures else "promote", candidate=candidate, champion=champion, reasons=tuple(reasons)
    )


def _check_floors(candidate: EvaluationReport, policy: PromotionPolicy) -> list[tuple[bool, str]]:
    floors = (
        ("accuracy", candidate.accuracy, policy.min_accuracy),
        ("worst-class recall", candidate.worst_class_recall, policy.min_worst_class_recall),
    )
    checks = [(candidate.images > 0, f"measured on {candidate.images} test images")]
    for name, value, floor in floors:
        passed = round(value - floor, DIGITS) >= 0
        checks.append((passed, f"{name} {value:.4f} {'>=' if passed else '<'} {floor:.4f}, the policy's floor"))
    return checks


def _check_champion(
    candidate: EvaluationReport, champion: EvaluationReport, policy: PromotionPolicy
) -> list[tuple[bool, str]]:
    if candidate.model.key == champion.model.key:
        return [(False, f"already champion: both are model {candidate.model.key}")]
    passed = round(candidate.accuracy - (champion.accuracy - policy.max_accuracy_drop), DIGITS) > 0
    tolerance = f" less the tolerated drop of {policy.max_accuracy_drop:.4f}" if policy.max_accuracy_drop else ""
    compared = f"accuracy {candidate.accuracy:.4f} against the champion's {champion.accuracy:.4f}{tolerance}"
    return [(passed, f"{'better' if passed else 'no better'}: {compared}, same {candidate.images} test images")]
