"""What a person can be held to: certificates, and the entries of the audit chain."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from include.contracts.contract import Contract, Digest
from include.contracts.models import ModelRef, PromotionDecision

AuditKind = Literal["registration", "verdict", "approval", "alias", "override", "hold", "retirement", "incident"]


class ApprovalReport(Contract):
    """A person answers for a model."""

    approver: str
    reason: str
    at: datetime


class Certificate(Contract):
    """Everything that a version was certified with: what it is made of, what was measured, and by which rules."""

    version: int = Field(ge=1)
    model: ModelRef
    graph: Digest = Field(description="Of the exported ONNX file.")
    code: Digest
    lock: Digest = Field(description="Of the versions of all libraries.")
    configuration: Digest
    decision: PromotionDecision
    policy: dict[str, JsonValue] = Field(description="The project's `promotion`, by which was decided.")
    approvals: tuple[ApprovalReport, ...] = ()
    issued_at: datetime


class AuditEntry(Contract):
    """One link of a project's audit chain."""

    project: str
    sequence: int = Field(ge=1)
    at: datetime
    kind: AuditKind
    subject: str
    who: str
    why: str
    payload: dict[str, JsonValue]
    previous: str = Field(description="Hash of the entry before; empty for the first.")
    hash: Digest


class AuditReport(Contract):
    """What a project's audit chain says, after every link of it was checked."""

    project: str
    at: datetime
    entries: int
    sealed: int = Field(description="Entries that the signed head covers; those after it are still to be sealed.")
    champion: int | None = Field(description="Version that was champion then.")
    moved: AuditEntry | None = Field(description="The entry that made it champion: who said so, and why.")
    recent: tuple[AuditEntry, ...]


class CheckReport(Contract):
    """One thing that was checked about a certified version."""

    check: str
    passed: bool
    found: str


class VerificationReport(Contract):
    """Whether a version's certificate still stands, from the store alone."""

    project: str
    version: int
    valid: bool
    verdict: str = Field(description="Derived again from the certified measurements and rules.")
    checks: tuple[CheckReport, ...]
