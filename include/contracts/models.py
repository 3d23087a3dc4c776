"""Trained, measured, judged and certified models."""

from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, Fraction
from include.contracts.data import DatasetRef


class ModelRef(Contract):
    """One candidate: weights in MLflow, keyed by everything that made them."""

    project: str
    key: Digest = Field(description="Digest of (project, dataset, code, configuration, seed), or of an import.")
    run_id: str
    weights: Digest
    dataset: DatasetRef
    imported: bool = Field(default=False, description="Trained elsewhere; the dataset is the one it is judged on.")


class SliceReport(Contract):
    """How a model did on a part of the test images."""

    name: str = Field(description="The slice's name in the project file.")
    value: str = Field(description="Which part of it, such as a camera.")
    images: Count
    accuracy: Fraction
    enough: bool = Field(description="Whether there are as many images as the project asks for to judge it.")


class BudgetReport(Contract):
    """What answering costs, measured on the exported graph, one thread."""

    latency_ms: float = Field(description="95th percentile of one image.")
    images_per_second: float
    model_mb: float
    memory_mb: float = Field(description="Peak of what loading and answering add to the process.")
    exceeded: tuple[str, ...] = Field(default=(), description="Budgets of the project file that it does not keep to.")


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
    measures: dict[str, float] = Field(
        default={}, description="Every measure by name; each can be a gate. They stand in docs/project_file.md."
    )
    slices: tuple[SliceReport, ...] = ()
    budget: BudgetReport | None = None
    answers: str = Field(
        default="", description="Address of a Parquet file: digest, group, label, predicted, probabilities."
    )
    page: str = Field(default="", description="Address of the report for people.")


class ComparisonReport(Contract):
    """One measure of candidate and champion on the same test images, with the paired bootstrap interval of its gain."""

    measure: str
    better: Literal["higher", "lower"]
    candidate: float
    champion: float
    low: float = Field(description="Lower end of the interval of candidate less champion.")
    high: float
    p_value: float | None = Field(
        default=None, description="McNemar's, of accuracy; of groups, where images have some."
    )
    groups: Count | None = Field(default=None, description="Groups of test images, the independent evidence.")

    @property
    def gain(self) -> tuple[float, float, float]:
        """How much better the candidate is, and the worst and the best that the interval leaves possible."""
        difference = self.candidate - self.champion
        return (difference, self.low, self.high) if self.better == "higher" else (-difference, -self.high, -self.low)


class PromotionDecision(Contract):
    """Whether the candidate may replace the champion, and why."""

    verdict: Literal["promote", "reject", "not_enough_evidence"]
    candidate: EvaluationReport
    champion: EvaluationReport | None = None
    comparisons: tuple[ComparisonReport, ...] = ()
    reasons: tuple[str, ...]


class ModelVersionRef(Contract):
    """One certified version in the model registry."""

    model: ModelRef
    version: int = Field(ge=1)
    accuracy: Fraction
