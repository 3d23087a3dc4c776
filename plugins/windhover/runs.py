"""What a task has to know of the run that it is part of."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.errors import ContractViolationError

if TYPE_CHECKING:
    from airflow.sdk import Context


def is_backfill(context: "Context") -> bool:
    """Tell whether a run looks at the past: then it reports, and nothing follows."""
    return bool(context["dag_run"].run_type == "backfill")


def read_moment(text: str) -> datetime:
    """Read ISO 8601; without an offset it is UTC, as the forms say."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContractViolationError(f"{text!r} is no moment; write one like 2026-01-31T09:00:00+00:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
