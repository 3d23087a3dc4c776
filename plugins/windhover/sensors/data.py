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
    """Wait, without holding a worker slot, for the complete delivery of one partition, and return it.

    :param project: The project file as JSON.
    :param partition: The day, `YYYY-MM-DD`; of no account where the project's source is one partition.
    """

    template_fields: Sequence[str] = ("project", "partition")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json"}

    def __init__(self, *, project: dict[str, Any], partition: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.partition = partition

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.data.arrivals import find_complete_batch

        project, landing = Project.model_validate(self.project), load_settings().landing_uri
        # Rendering makes a number of a key such as 20260131.
        if not isinstance(self.partition, str) and not project.source.snapshot:
            raise ContractViolationError(
                f"the partition of this run is {self.partition!r} and no day; trigger it with a partition key such as "
                "2026-01-31, or backfill the days"
            )
        partition = str(self.partition)
        batch = find_complete_batch(project, landing, partition)
        if batch is None:
            self.log.info("no complete delivery of %s for %s yet; waiting", project.name, partition)
            self.defer(
                trigger=CompleteBatchTrigger(self.project, landing, partition, self.poke_interval),
                method_name="take",
                timeout=timedelta(seconds=self.timeout),
            )
        return self.take(context, batch.model_dump(mode="json"))

    def take(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Return the delivery that was found."""
        return BatchRef.model_validate(event).model_dump(mode="json")
