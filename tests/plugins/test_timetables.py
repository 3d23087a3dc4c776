"""How a timetable gets through Airflow's database is told in tests/dags/test_serialisation.py."""

from datetime import UTC, datetime

from airflow.sdk import Asset

from windhover.assets import when_day_updated


def test_a_backfill_gets_a_run_for_every_day_that_begins_within_its_range():
    timetable = when_day_updated(Asset("digits.curated_dataset"))
    first, last = datetime(2026, 2, 27, 1, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC)
    runs = list(timetable.iter_partition_dagrun_infos(earliest=first, latest=last))
    assert [run.partition_key for run in runs] == ["2026-02-28", "2026-03-01"]
    assert [run.partition_date for run in runs] == [datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
    assert list(timetable.iter_partition_dagrun_infos(earliest=last, latest=first)) == []
