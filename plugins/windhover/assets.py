"""Where DAGs meet. A DAG never names another DAG; it names an asset from this file.

Every event carries a partition key (a UTC day) and, as `extra`, the JSON of one contract.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAny, PartitionedAssetTimetable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from windhover.timetables import DailyAssetTimetable


@dataclass(frozen=True)
class ProjectAssets:
    """The assets of one project, nouns in a state."""

    project: str

    @property
    def curated_dataset(self) -> Asset:
        """A `DatasetRef`: images that passed validation, published as a new dataset version."""
        return self._asset("curated_dataset", "data")

    @property
    def retraining_request(self) -> Asset:
        """A `RetrainingRequest`: one drift episode asks for one training."""
        return self._asset("retraining_request", "monitoring")

    @property
    def candidate_model(self) -> Asset:
        """A `ModelRef`: a trained model nobody has judged yet."""
        return self._asset("candidate_model", "model")

    @property
    def certified_model(self) -> Asset:
        """A `ModelVersionRef`: a registered model that met every criterion."""
        return self._asset("certified_model", "model")

    @property
    def serving_model(self) -> Asset:
        """A `ReleaseRef`: the release that answers requests now."""
        return self._asset("serving_model", "deployment")

    @property
    def batch_predictions(self) -> Asset:
        """A `BatchReport`: the answers of one release to every image of a day."""
        return self._asset("batch_predictions", "deployment")

    def _asset(self, noun: str, group: str) -> Asset:
        return Asset(name=f"{self.project}.{noun}", uri=f"windhover://{self.project}/{noun}", group=group)


def when_updated(*assets: Asset) -> PartitionedAssetTimetable:
    """Schedule a DAG for the day of every update of any of these assets."""
    return PartitionedAssetTimetable(assets=AssetAny(*assets))


def when_day_updated(asset: Asset) -> "DailyAssetTimetable":
    """Schedule a DAG for the day of every update of an asset; it can be backfilled, too."""
    from airflow.serialization.encoders import ensure_serialized_asset

    from windhover.timetables import DailyAssetTimetable

    return DailyAssetTimetable(assets=ensure_serialized_asset(asset))


def announce(reference: dict[str, Any], outlets: "Iterable[Asset]", context: "Context", day: str | None = None) -> None:
    """Attach a reference to the event of every outlet, for the DAGs that wait on it.

    A run started by hand may have no partition key; its event then belongs to today, because Airflow queues no
    partitioned DAG for an event without a key.

    :param day: The event's partition key, where it is not the run's.
    """
    day = day or context["dag_run"].partition_key or datetime.now(UTC).strftime("%Y-%m-%d")
    for outlet in outlets:
        event = context["outlet_events"][outlet]
        event.extra = reference
        event.add_partitions(day)


def triggering_events(asset: Asset, context: "Context") -> list[Any]:
    """Return the events of an asset that started this run, oldest first; none when something else did."""
    # Airflow hands them over in no particular order.
    events = context["triggering_asset_events"].get(asset) or []
    return sorted(events, key=lambda event: event.timestamp)


def read_announcement(asset: Asset, context: "Context") -> dict[str, Any] | None:
    """Return the newest reference among the events that started this run, else the newest ever announced.

    Falling back lets a run started by hand work on what is there; None says that nothing was announced yet. The task
    must name the asset in its `inlets`.
    """
    events = triggering_events(asset, context) or list(context["inlet_events"][asset].ascending(False).limit(1))
    if not events:
        return None
    return without_mark(events[-1].extra)


def without_mark(extra: dict[str, Any] | None) -> dict[str, Any]:
    """Return an event's reference; Airflow marks an event that a person created by hand, which is no part of it."""
    return {name: value for name, value in (extra or {}).items() if name != "from_rest_api"}
