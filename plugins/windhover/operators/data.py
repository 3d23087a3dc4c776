"""Operators that turn deliveries into dataset versions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce
from windhover.links import DATA_DOCS, PAGES, QUARANTINE, page_of
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class IngestImagesOperator(StageOperator):
    """Decode, check and stage one shard of a delivery.

    :param shard: A `ShardRef`.
    """

    template_fields: Sequence[str] = ("project", "shard")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "shard": "json"}

    def __init__(self, *, shard: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ShardRef
        from include.data.ingestion import ingest_shard

        shard = ShardRef.model_validate(self.shard)
        landing = self.read_settings().landing_folder
        report = ingest_shard(self.read_project(), shard, landing, self.open_store())
        self.log.info("%d seen: %d accepted, %d quarantined", report.seen, report.accepted, report.quarantined)
        return report.model_dump(mode="json")


class ValidateImagesOperator(StageOperator):
    """Merge the shards of a partition and hold them against the data expectations.

    :param shards: The `ShardReport` of every shard.
    """

    template_fields: Sequence[str] = ("project", "shards")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "shards": "json"}
    operator_extra_links = (DATA_DOCS, QUARANTINE)

    def __init__(self, *, shards: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shards = shards

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ShardReport
        from include.data.quality import require_quality
        from include.data.validation import validate_partition

        project = self.read_project()
        reports = [ShardReport.model_validate(shard) for shard in self.shards]
        report = validate_partition(project, reports, self.open_store())
        self.evidence["Data Docs"] = page_of(report.data_docs)
        self.evidence["Quarantine"] = f"{PAGES}/quarantine/{project.name}/{report.partition}"
        met = sum(expectation.success for expectation in report.expectations)
        self.log.info("%d of %d expectations met; in quarantine: %s", met, len(report.expectations), report.reasons)
        require_quality(project, report)
        return report.model_dump(mode="json")


class PublishDatasetOperator(StageOperator):
    """Publish a validated partition as part of a new dataset version.

    :param validation: A `ValidationReport`.
    """

    template_fields: Sequence[str] = ("project", "validation")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "validation": "json"}

    def __init__(self, *, validation: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validation = validation

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ValidationReport
        from include.data.publication import publish_partition

        report = ValidationReport.model_validate(self.validation)
        # The same for every attempt: a retry may take over the lease of the attempt it replaces.
        holder = f"{context['dag_run'].dag_id}/{context['run_id']}"
        dataset = publish_partition(self.read_project(), report, self.open_store(), self.open_ledger(), holder)
        self.log.info("version %d: %d images, %d labelled", dataset.version, dataset.images, dataset.labelled)
        return dataset.model_dump(mode="json")


class AnnounceDatasetOperator(StageOperator):
    """Tell the DAGs that wait on it about a new dataset version; a backfill publishes silently.

    :param dataset: A `DatasetRef`.
    """

    template_fields: Sequence[str] = ("project", "dataset")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json"}

    def __init__(self, *, dataset: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: "Context") -> dict[str, Any]:
        if context["dag_run"].run_type == "backfill":
            raise AirflowSkipException("a backfill publishes history; it starts no training")
        announce(self.dataset, self.outlets, context)
        return self.dataset
