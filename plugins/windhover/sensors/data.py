"""Sensors that wait for data."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator

from include.contracts import BatchRef
from include.errors import ContractViolationError
from include.project import Project
from include.settings import load_settings
from windhover.triggers.data import CompleteBatchTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class CompleteBatchSensor(BaseSensorOperator):
    """Wait, without holding a worker slot, for the complete delivery of one day; return its shards.

    :param project: The project file as JSON.
    :param partition: The day, `YYYY-MM-DD`.
    """

    template_fields: Sequence[str] = ("project", "partition")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json"}

    def __init__(self, *, project: dict[str, Any], partition: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.partition = partition

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        from include.data.arrivals import find_complete_batch

        # Rendering makes a number of a key such as 20260131.
        if not isinstance(self.partition, str):
            raise ContractViolationError(
                f"the partition of this run is {self.partition!r} and no day; trigger it with a partition key such as "
                "2026-01-31, or backfill the days"
            )
        landing = load_settings().landing_folder
        batch = find_complete_batch(Project.model_validate(self.project), landing, self.partition)
        if batch is None:
            self.log.info("no complete delivery for %s below %s yet; waiting", self.partition, landing)
            self.defer(
                trigger=CompleteBatchTrigger(self.project, str(landing), self.partition, self.poke_interval),
                method_name="plan",
                timeout=timedelta(seconds=self.timeout),
            )
        return self.plan(context, batch.model_dump(mode="json"))

    def plan(self, context: "Context", event: dict[str, Any]) -> list[dict[str, Any]]:
        """Cut the delivery into shards."""
        from include.data.arrivals import plan_shards

        batch = BatchRef.model_validate(event)
        shards = plan_shards(Project.model_validate(self.project), batch)
        return [shard.model_dump(mode="json") for shard in shards]
