"""What OpenLineage is told about the data a task read and wrote.

Places are named as the OpenLineage naming specification says (https://openlineage.io/docs/spec/naming). The listener of
Airflow's provider asks for this once a task is done, in a process of its own, so that nothing here loads earlier.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.contracts import (
    BatchRef,
    BatchReport,
    DatasetRef,
    ExpectationReport,
    ModelRef,
    ShardReport,
    ValidationReport,
)
from include.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset, InputDataset, OutputDataset
    from openlineage.client.generated.data_quality_assertions_dataset import Assertion
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet

Data = BatchRef | ShardReport | ValidationReport | DatasetRef | ModelRef | BatchReport
SEVERITY = {"stop": "error", "quarantine": "warn", "warn": "warn"}


def describe_lineage(
    reads: Sequence[Data], writes: Sequence[Data], settings: Settings
) -> "OperatorLineage[Dataset, Any]":
    """Describe the data behind references and reports as inputs and outputs of a task."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(
        inputs=[describe_input(one, settings) for one in reads],
        outputs=[describe_output(one, settings) for one in writes],
    )


def describe_input(data: Data, settings: Settings) -> "InputDataset":
    """Describe data that was read: its version, schema, rows, and how it met its expectations."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.generated.data_quality_assertions_dataset import DataQualityAssertionsDatasetFacet
    from openlineage.client.generated.data_quality_metrics_input_dataset import DataQualityMetricsInputDatasetFacet

    facets: dict[str, Any] = {}
    if (rows := count_rows(data)) is not None:
        facets["dataQualityMetrics"] = DataQualityMetricsInputDatasetFacet(columnMetrics={}, rowCount=rows)
    if isinstance(data, ValidationReport):
        facets["dataQualityAssertions"] = DataQualityAssertionsDatasetFacet(
            assertions=[_assert(one) for one in data.expectations]
        )
    return InputDataset(*name_place(locate(data, settings)), facets=_describe_content(data), inputFacets=facets)


def describe_output(data: Data, settings: Settings) -> "OutputDataset":
    """Describe data that was written: its version, schema and rows."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet

    facets: dict[str, Any] = {}
    if (rows := count_rows(data)) is not None:
        facets["outputStatistics"] = OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return OutputDataset(*name_place(locate(data, settings)), facets=_describe_content(data), outputFacets=facets)


def locate(data: Data, settings: Settings) -> str:
    """Return the path or URI of the data behind a reference or report."""
    if isinstance(data, ModelRef):
        return f"{settings.mlflow_uri}/{data.project}/{data.run_id}"
    if isinstance(data, BatchRef) and data.collected is None:
        return data.uri
    address = data.collected if isinstance(data, BatchRef) else data.address
    return settings.open_store().uri(str(address))


def name_place(uri: str) -> tuple[str, str]:
    """Return the namespace and the name of a place: a path of this machine or a URI."""
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return "file", uri.removeprefix("file://")
    authority, _, path = rest.partition("/")
    return (f"{scheme}://{authority}", path) if path else (scheme, authority)


def count_rows(data: Data) -> int | None:
    """Return how many rows a reference or report speaks of, where it says so."""
    if isinstance(data, ShardReport | ValidationReport):
        return data.accepted
    return data.images if isinstance(data, DatasetRef | BatchReport) else None


def _describe_content(data: Data) -> dict[str, Any]:
    """Return schema and version, where there are any."""
    from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet

    facets: dict[str, Any] = {}
    if isinstance(data, ShardReport | ValidationReport | DatasetRef):
        facets["schema"] = _describe_schema()
        version = str(data.version) if isinstance(data, DatasetRef) else data.digest
        facets["version"] = DatasetVersionDatasetFacet(datasetVersion=version)
    if isinstance(data, BatchReport):
        facets["version"] = DatasetVersionDatasetFacet(datasetVersion=data.digest)
    if isinstance(data, ModelRef):
        facets["version"] = DatasetVersionDatasetFacet(datasetVersion=data.weights)
    return facets


def _describe_schema() -> "SchemaDatasetFacet":
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

    from include.vision.schema import IMAGES

    return SchemaDatasetFacet(fields=[SchemaDatasetFacetFields(name=one.name, type=str(one.type)) for one in IMAGES])


def _assert(report: ExpectationReport) -> "Assertion":
    from openlineage.client.generated.data_quality_assertions_dataset import Assertion

    return Assertion(
        assertion=report.expectation,
        success=report.success,
        column=report.column,
        severity=SEVERITY[report.on_failure],
        actual=f"{report.unexpected} unexpected",
    )
