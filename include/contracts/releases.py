"""Servable bundles and their rollouts."""

from typing import Literal

from pydantic import Field

from include.contracts.contract import Contract, Digest
from include.contracts.models import ModelVersionRef


class ReleaseRef(Contract):
    """One servable bundle: ONNX graph, golden images and reference profile, named by its content."""

    model: ModelVersionRef
    address: str
    digest: Digest
    parity: float = Field(ge=0, description="Largest absolute difference in probability against the trained model.")


class RolloutRef(Contract):
    """One attempt to put a release into service."""

    id: int
    release: ReleaseRef
    previous: Digest | None = Field(default=None, description="Release that served before, to return to.")


class RolloutReport(Contract):
    """What the serving process says of a rollout."""

    rollout: RolloutRef
    verdict: Literal["healthy", "unhealthy"]
    reasons: tuple[str, ...]
