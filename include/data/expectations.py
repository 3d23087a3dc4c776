"""What every project expects of its manifest, in Great Expectations' terms."""

from datetime import UTC, datetime, timedelta
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations import expectations
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from include.contracts import ExpectationReport
from include.project import Project

# The package re-exports its expectations without declaring it, which strict typing refuses.
gxe: Any = expectations

MIN_SIDE = 8
MAX_NAMED_ROWS = 20
NAME_ROWS = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["source"],
    "return_unexpected_index_query": False,
}


def run_expectations(project: Project, partition: str, manifest: pd.DataFrame) -> ExpectationSuiteValidationResult:
    """Hold the accepted rows of one partition against the project's expectations."""
    settings = DataContextConfig(
        # The default would make a folder for a Data Docs site that nobody asked for.
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=settings)
    source = context.data_sources.add_pandas(project.name)
    batch = (
        source.add_dataframe_asset(f"images of {partition}")
        .add_batch_definition_whole_dataframe("partition")
        .get_batch({"dataframe": manifest})
    )
    suite = gx.ExpectationSuite(name=f"{project.name}.images", expectations=list_expectations(project, partition))
    return batch.validate(suite, result_format=NAME_ROWS)


def list_expectations(project: Project, partition: str) -> list[Any]:
    """List what must hold for every accepted row; labels may be missing, for they come later."""
    longest = project.data.max_pixels // MIN_SIDE
    end_of_day = datetime.fromisoformat(partition).replace(tzinfo=UTC) + timedelta(days=1)
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToBeUnique(column="digest"),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ("digest", "source", "group", "captured_at")),
        gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(project.classes)),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "validation", "test"]),
        *(
            gxe.ExpectColumnValuesToBeBetween(column=side, min_value=MIN_SIDE, max_value=longest)
            for side in ("width", "height")
        ),
        gxe.ExpectColumnValuesToBeBetween(column="captured_at", max_value=end_of_day, strict_max=True),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="known_at", column_B="captured_at", or_equal=True, ignore_row_if="either_value_is_missing"
        ),
    ]


def summarise(result: ExpectationSuiteValidationResult) -> tuple[ExpectationReport, ...]:
    """Reduce a validation result to one line an expectation, with the offending rows' source files."""
    return tuple(_summarise_one(one) for one in result.results)


def _summarise_one(result: Any) -> ExpectationReport:
    config = result.expectation_config
    rows = [str(row["source"]) for row in result.result.get("unexpected_index_list") or ()]
    return ExpectationReport(
        expectation=config.type,
        column=config.kwargs.get("column") or config.kwargs.get("column_A"),
        success=bool(result.success),
        unexpected=int(result.result.get("unexpected_count") or 0),
        rows=tuple((_read_exceptions(result.exception_info) or rows)[:MAX_NAMED_ROWS]),
    )


def _read_exceptions(info: dict[str, Any]) -> list[str]:
    """Say why an expectation could not be checked; the exceptions of metrics stand under the metrics' names."""
    nested = (value for value in info.values() if isinstance(value, dict))
    return sorted({str(one["exception_message"]) for one in (info, *nested) if one.get("raised_exception")})
