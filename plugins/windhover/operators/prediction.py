"""Operators that answer whole partitions of a dataset."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from include.errors import ArtifactNotFoundError, ContractViolationError
from windhover.assets import announce, read_announcement, triggering_events
from windhover.links import PREDICTIONS, ROLLOUTS, page_of, rollouts_of
from windhover.operators.stage import StageOperator
from windhover.runs import is_backfill, read_moment

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from include.contracts import DatasetRef
    from include.ledger import Ledger


class SelectReleaseOperator(StageOperator):
    """Choose day, dataset and release, and divide the day's images into shards; skip while nothing answers yet.

    The run's form may name the `day`, the `version` of the model, or the moment whose champion is asked.
    """

    operator_extra_links = (ROLLOUTS,)

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        from include.data.arrivals import SNAPSHOT
        from include.deployment.batch_plan import plan_batch, select_release

        project, ledger, form = self.read_project(), self.open_ledger(), context["params"]
        self.evidence["Rollouts"] = rollouts_of(project.name)
        day = self._read_day(context)
        partition, moment = SNAPSHOT if project.source.snapshot else day, self._read_moment(day, context)
        release = select_release(project.name, ledger, form["version"], moment)
        if release is None:
            raise AirflowSkipException(
                f"nothing answered for {project.name} at {moment:%Y-%m-%d %H:%M} UTC. Deploy a model, then trigger "
                f"{project.name}.predict_batch by hand with the day {day}, or name a later moment"
            )
        dataset = self._find_dataset(project.name, ledger, context)
        shards = plan_batch(project, dataset, partition, release, self.open_store())
        self.log.info("%s of %d: version %d, %s", partition, dataset.version, release.model.version, release.digest)
        return [shard.model_dump(mode="json") for shard in shards]

    def _read_day(self, context: "Context") -> str:
        run = context["dag_run"]
        if day := context["params"]["day"] or run.partition_key:
            return str(day)
        if self.read_project().source.snapshot:
            return f"{run.run_after:%Y-%m-%d}"
        raise ContractViolationError("the run has no day; trigger it again and name one in the form")

    def _read_moment(self, day: str, context: "Context") -> "datetime":
        """Return the moment whose champion is asked; that of the run, so that clearing it asks the same one."""
        run = context["dag_run"]
        past = is_backfill(context)
        # Airflow dates a backfilled run back to its day.
        now = (run.start_date if past else None) or run.run_after
        asked = context["params"]["champion_at"] or ("day" if past else "now")
        if asked == "day":
            return min(read_moment(day) + timedelta(days=1), now)
        return now if asked == "now" else read_moment(asked)

    def _find_dataset(self, project: str, ledger: "Ledger", context: "Context") -> "DatasetRef":
        """Return the version that started this run, else the newest: a backfill publishes without announcing."""
        from include.contracts import DatasetRef
        from include.ledger.datasets import find_latest_dataset

        if triggering_events(self.inlets[0], context):
            return DatasetRef.model_validate(read_announcement(self.inlets[0], context))
        if dataset := find_latest_dataset(ledger, project):
            return dataset
        raise ArtifactNotFoundError(f"{project} has no dataset; run {project}.ingest_images first")


class ScoreShardOperator(StageOperator):
    """Answer the images of one shard.

    :param shard: A `BatchShardRef`.
    """

    template_fields: Sequence[str] = ("project", "shard")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "shard": "json"}

    def __init__(self, *, shard: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import BatchShardRef
        from include.deployment.batch import score_shard

        shard = BatchShardRef.model_validate(self.shard)
        self.reads.append(shard.dataset)
        self.log.info("answers at %s", score_shard(shard, self.open_store()))
        return shard.model_dump(mode="json")


class PublishPredictionsOperator(StageOperator):
    """Publish the answers of all shards in one step, with what they were made of.

    :param shards: The `BatchShardRef` of every shard.
    """

    template_fields: Sequence[str] = ("project", "shards")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "shards": "json"}
    operator_extra_links = (PREDICTIONS,)

    def __init__(self, *, shards: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shards = shards

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import BatchShardRef
        from include.deployment.batch import publish_batch

        shards = [BatchShardRef.model_validate(shard) for shard in self.shards]
        report = publish_batch(shards, self.open_store(), self.open_ledger())
        self.reads.append(report.dataset)
        self.writes.append(report)
        self.evidence["Predictions"] = page_of(report.page)
        self.log.info("%d images answered by version %d: %s", report.images, report.model_version, report.address)
        # A source without days is announced for the day of the run.
        day = None if self.read_project().source.snapshot else report.partition
        announce(reference := report.model_dump(mode="json"), self.outlets, context, day)
        return reference
