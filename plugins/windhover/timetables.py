"""When DAGs run, where Airflow's own timetables do not say it. Loads the core of Airflow: import it late."""

from typing import TYPE_CHECKING

from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow.timetables.base import DagRunInfo

EVERY_DAY = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%Y-%m-%d")


class DailyAssetTimetable(PartitionedAssetTimetable):
    """Run for the day of every update of an asset, and by a backfill for each of its days.

    Airflow 3.3 knows runs for assets and runs for days of the calendar, and offers a backfill for the latter only.
    """

    # Whether there are runs that a backfill can make up for; nothing is scheduled by it.
    periodic = True

    def iter_partition_dagrun_infos(self, *, earliest: "datetime", latest: "datetime") -> "Iterable[DagRunInfo]":
        """Return a run for every day that begins in [earliest, latest]."""
        return EVERY_DAY.iter_partition_dagrun_infos(earliest=earliest, latest=latest)
