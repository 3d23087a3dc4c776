"""Trained, measured, judged and certified models."""

from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, Fraction
from include.contracts.data import DatasetRef


class ModelRef(Contract):
    """One trained candidate: weights in MLflow, keyed by everything that made them."""

    project: str
    key: Digest = Field(description="Digest of (project, dataset, code, configuration, seed).")
    run_id: str
    weights: Digest
    dataset: DatasetRef


class EvaluationReport(Contract):
    """Metrics of one model on the sealed test split of one dataset version."""

    model: ModelRef
    test_digest: Digest
    images: Count
    accuracy: Fraction
    macro_f1: Fraction
    worst_class_recall: Fraction
    recall_by_class: dict[str, Fraction]
    accuracy_by_partition: dict[str, Fraction]


class PromotionDecision(Contract):
    """Whether the candidate may replace the champion, and why."""

    verdict: Literal["promote", "reject"]
    candidate: EvaluationReport
    champion: EvaluationReport | None = None
    reasons: tuple[str, ...]


class ModelVersionRef(Contract):
    """One certified version in the model registry."""

    model: ModelRef
    version: int = Field(ge=1)
    accuracy: Fraction
