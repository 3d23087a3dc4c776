"""Operators that turn deliveries into dataset versions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce
from windhover.links import DATA_DOCS, DATASHEET, EDA, PAGES, QUARANTINE, page_of
from windhover.operators.stage import StageOperator, name_attempt
from windhover.runs import is_backfill

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import ValidationReport
    from include.ledger import Ledger


class CollectBatchOperator(StageOperator):
    """Make a plain folder of a delivery that is none, and cut it into shards.

    :param batch: A `BatchRef`.
    """

    template_fields: Sequence[str] = ("project", "batch")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "batch": "json"}

    def __init__(self, *, batch: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        from include.contracts import BatchRef
        from include.data.arrivals import plan_shards
        from include.data.collection import collect_batch

        delivered, project = BatchRef.model_validate(self.batch), self.read_project()
        self.reads.append(delivered)
        collected = collect_batch(project, delivered, self.open_store())
        self.writes += [collected] if collected.collected else []
        self.log.info("%d images at %s", collected.images, collected.collected or collected.uri)
        return [shard.model_dump(mode="json") for shard in plan_shards(project, collected)]


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
        self.reads.append(shard.batch)
        report = ingest_shard(self.read_project(), shard, self.open_store(), self.open_ledger())
        self.writes.append(report)
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

        project, ledger = self.read_project(), self.open_ledger()
        reports = [ShardReport.model_validate(shard) for shard in self.shards]
        report = validate_partition(project, reports, self.open_store(), ledger)
        # What is held against expectations is the merged partition: their outcome belongs to it as an input.
        self.reads, self.writes = [*reports, report], [report]
        self.evidence["Data Docs"] = page_of(report.data_docs)
        self.evidence["Quarantine"] = f"{PAGES}/quarantine/{project.name}/{report.partition}"
        met = sum(expectation.success for expectation in report.expectations)
        self.log.info("%d of %d expectations met; in quarantine: %s", met, len(report.expectations), report.reasons)
        require_quality(project, report, ledger)
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

        report, ledger = ValidationReport.model_validate(self.validation), self.open_ledger()
        changed = self._differs(report, ledger, context)
        project, holder = self.read_project(), name_attempt(context)
        dataset = publish_partition(project, report, self.open_store(), ledger, holder)
        self.reads, self.writes = [report], [dataset]
        context["ti"].xcom_push("changed", changed)
        self.log.info("version %d: %d images, %d labelled", dataset.version, dataset.images, dataset.labelled)
        return dataset.model_dump(mode="json")

    def _differs(self, report: "ValidationReport", ledger: "Ledger", context: "Context") -> bool:
        """Tell whether the partition held something else before this run, or before the run was cleared last.

        Airflow keeps what it held: an attempt that is killed once it has published must not make the next one say no.
        """
        from include.ledger.datasets import list_partitions

        kept, key = context["task_state_store"], f"held_before_clearing_{context['dag_run'].clear_number}"
        if (held := kept.get(key)) is None:
            published = list_partitions(ledger, report.project).get(report.partition)
            kept.set(key, held := published.digest if published else "nothing")
        return held != report.digest


class AnnounceDatasetOperator(StageOperator):
    """Tell the DAGs that wait on it about a new dataset version; a backfill and an unchanged partition tell nothing.

    :param dataset: A `DatasetRef`.
    :param changed: Whether the partition held something else before.
    """

    template_fields: Sequence[str] = ("project", "dataset", "changed")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json"}

    def __init__(self, *, dataset: dict[str, Any], changed: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.changed = changed

    def execute(self, context: "Context") -> dict[str, Any]:
        if is_backfill(context):
            raise AirflowSkipException("a backfill publishes history; it starts no training")
        if not self.changed:
            raise AirflowSkipException("this day's content is what it was before; there is nothing to announce")
        announce(self.dataset, self.outlets, context)
        return self.dataset


class DescribeDatasetOperator(StageOperator):
    """Write the datasheet and the exploratory report of a dataset version.

    :param dataset: A `DatasetRef`.
    """

    template_fields: Sequence[str] = ("project", "dataset")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json"}
    operator_extra_links = (DATASHEET, EDA)

    def __init__(self, *, dataset: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: "Context") -> str:
        from include.contracts import DatasetRef
        from include.data.datasheet import describe_dataset

        dataset = DatasetRef.model_validate(self.dataset)
        self.reads.append(dataset)
        page = describe_dataset(self.read_project(), dataset, self.open_store(), self.open_ledger())
        self.evidence["Datasheet"] = page_of(page)
        self.evidence["EDA"] = page_of(f"{page.rpartition('/')[0]}/eda.html")
        return page
