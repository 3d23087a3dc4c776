"""What a task has to know of the run that it is part of."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context


def is_backfill(context: "Context") -> bool:
    """Tell whether a run looks at the past: then it reports, and nothing follows."""
    return bool(context["dag_run"].run_type == "backfill")
