"""Validation reports small enough to read."""

from typing import Any

from include.contracts import ValidationReport
from include.storage import digest_bytes


def make_report(day: str, **values: Any) -> ValidationReport:
    """Seven files, two of them in quarantine."""
    known: dict[str, Any] = {
        "project": "digits",
        "partition": day,
        "address": f"a/{day}",
        "success": True,
        "data_docs": "d/r/x",
    }
    counts = {"seen": 7, "accepted": 4, "duplicates": 1, "quarantined": 2, "reasons": {"truncated": 2}}
    return ValidationReport.model_validate(known | counts | {"digest": digest_bytes(day.encode())} | values)
