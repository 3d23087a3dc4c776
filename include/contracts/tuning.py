"""What a search for settings found, and whether a training can be repeated."""

from typing import Any

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest, Fraction


class StudyReport(Contract):
    """How far the search for settings has come, counted in slots of its budget."""

    study: str
    completed: Count
    pruned: Count
    failed: Count = Field(description="Settings with which no model could be trained.")
    settings: dict[str, Any] = Field(default={}, description="The best so far; none while no trial is complete.")
    accuracy: Fraction | None = Field(default=None, description="Validation accuracy with them.")


class FoldReport(Contract):
    """How a model did on one fold, trained on the others."""

    fold: Count
    images: Count
    accuracy: Fraction
    loss: float


class ReproductionReport(Contract):
    """Whether training a version again gave the same model, and which inputs differ."""

    version: int = Field(ge=1)
    identical: bool = Field(description="The same weights, bit for bit.")
    differences: tuple[str, ...] = Field(description="Inputs that are not what they were, with both values.")
    recorded: Digest
    repeated: Digest
    metrics: dict[str, tuple[float, float]] = Field(description="Name: as recorded, as repeated.")
