"""What is left of models that went out of use, and what keeps others from going."""

from datetime import datetime

from pydantic import Field

from include.contracts.contract import Contract, Count, Digest


class HoldReport(Contract):
    """A person forbids that a version is disposed of."""

    version: int = Field(ge=1)
    held_by: str
    reason: str
    held_at: datetime


class RetirementReport(Contract):
    """The tombstone of a version: who retired it and why, and where its sealed bundle lies."""

    version: int = Field(ge=1)
    model_key: Digest
    retired_by: str
    reason: str
    retired_at: datetime
    bundle: Digest = Field(description="Of the bundle's signed manifest, which names every file of it by digest.")
    address: str = Field(description="Of the bundle.")
    releases: tuple[Digest, ...] = Field(default=(), description="Releases that were removed with it.")
    removed_at: datetime | None = Field(default=None, description="When the last of the originals was gone.")


class ArchiveReport(Contract):
    """What a sealed bundle answers now, held against what was sealed."""

    project: str
    version: int = Field(ge=1)
    bundle: Digest
    files: Count = Field(description="Files whose digests fit the seal.")
    probes: Count = Field(description="Probe images that were scored again.")
    erased: Count = Field(default=0, description="Probe images that were forgotten since.")
    difference: float = Field(ge=0, description="Largest difference in probability from the sealed scores.")
    identical: bool = Field(description="Every score is the sealed one, to the last bit.")
    environment: dict[str, str] = Field(description="What differs from where it was sealed: then, now.")
