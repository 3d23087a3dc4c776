import io
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import ContractViolationError
from include.predictions import (
    PREDICTIONS,
    STATISTICS,
    append_rows,
    compact_closed_days,
    compact_log,
    read_feedback,
    read_predictions,
)
from include.storage import Store
from tests.include.kills import run_and_kill

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = NOON.date()


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


def prediction(request_id: str, time: datetime, **changes: object) -> dict[str, object]:
    row = {"request_id": request_id, "time": time, "project": "digits", "release": "sha256:a", "model_version": 1}
    row |= {"predicted": "7", "confidence": 0.9, "probabilities": [0.1, 0.9], "latency_ms": 3.0}
    return row | dict.fromkeys(STATISTICS, 0.5) | changes


def label(request_id: str, time: datetime, value: str) -> dict[str, object]:
    return {"request_id": request_id, "time": time, "project": "digits", "label": value}


def test_a_window_is_half_open_and_in_time_order(store: Store):
    rows = [prediction(str(hour), NOON + hour * HOUR) for hour in (3, 0, 2, 1)]
    append_rows(store, "predictions", "one", rows)
    found = read_predictions(store, "digits", NOON, NOON + 3 * HOUR)
    assert found["request_id"].to_pylist() == ["0", "1", "2"]


def test_a_window_may_span_midnight(store: Store):
    append_rows(store, "predictions", "one", [prediction("before", NOON + 11 * HOUR)])
    append_rows(store, "predictions", "one", [prediction("after", NOON + 13 * HOUR)])
    assert read_predictions(store, "digits", NOON, NOON + 24 * HOUR)["request_id"].to_pylist() == ["before", "after"]


def test_a_request_replayed_after_a_crash_counts_once(store: Store):
    append_rows(store, "predictions", "one", [prediction("a", NOON), prediction("b", NOON)])
    append_rows(store, "predictions", "two", [prediction("b", NOON), prediction("c", NOON)])
    assert sorted(read_predictions(store, "digits", NOON, NOON + HOUR)["request_id"].to_pylist()) == ["a", "b", "c"]


def test_the_same_segment_written_twice_is_one_file(store: Store):
    for _ in range(2):
        append_rows(store, "predictions", "one", [prediction("a", NOON)])
    assert store.list("digits") == ["digits/predictions/2026-03-01/one.parquet"]


def test_the_latest_label_of_a_request_wins(store: Store):
    append_rows(store, "feedback", "late", [label("a", NOON + HOUR, "8")])
    append_rows(store, "feedback", "early", [label("a", NOON, "7"), label("b", NOON, "1")])
    found = read_feedback(store, "digits", NOON)
    assert dict(zip(found["request_id"].to_pylist(), found["label"].to_pylist(), strict=True)) == {"a": "8", "b": "1"}


def test_an_empty_log_is_an_empty_table(store: Store):
    assert read_predictions(store, "digits", NOON, NOON + HOUR).num_rows == 0
    assert read_feedback(store, "digits", NOON).num_rows == 0


def test_projects_do_not_see_each_other(store: Store):
    append_rows(store, "predictions", "one", [prediction("a", NOON, project="parts")])
    assert read_predictions(store, "digits", NOON, NOON + HOUR).num_rows == 0
    assert read_predictions(store, "parts", NOON, NOON + HOUR).num_rows == 1


@pytest.mark.parametrize("changes", [{"project": "parts"}, {"time": NOON + 12 * HOUR}])
def test_rows_of_two_projects_or_days_are_refused(store: Store, changes: dict[str, object]):
    with pytest.raises(ContractViolationError, match="one file for each"):
        append_rows(store, "predictions", "one", [prediction("a", NOON), prediction("b", NOON) | changes])
    assert store.list("digits") == []


def test_no_rows_write_no_file(store: Store):
    append_rows(store, "feedback", "one", [])
    assert store.list("") == []


def test_the_day_is_that_of_utc(store: Store):
    east = datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=9)))
    append_rows(store, "feedback", "one", [label("a", east, "7")])
    assert store.list("digits") == ["digits/feedback/2026-03-01/one.parquet"]


def test_rows_of_an_older_log_have_nulls_where_they_say_nothing(store: Store):
    older = PREDICTIONS.remove(PREDICTIONS.get_field_index("noise")).remove(PREDICTIONS.get_field_index("ood") - 1)
    row = {name: value for name, value in prediction("old", NOON).items() if name in older.names}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], schema=older), buffer)
    store.write("digits/predictions/2026-03-01/old.parquet", buffer.getvalue())
    append_rows(store, "predictions", "new", [prediction("new", NOON + HOUR, ood=0.5)])
    found = read_predictions(store, "digits", NOON, NOON + 2 * HOUR)
    assert found.schema == PREDICTIONS
    assert found.select(["request_id", "noise", "ood"]).to_pylist() == [
        {"request_id": "old", "noise": None, "ood": None},
        {"request_id": "new", "noise": 0.5, "ood": 0.5},
    ]
    compact_log(store, "digits", DAY)
    assert read_predictions(store, "digits", NOON, NOON + 2 * HOUR) == found


def test_files_that_are_too_old_by_their_name_are_not_read(store: Store):
    append_rows(store, "predictions", "20260301T060000-a", [prediction("kept open", NOON)])
    append_rows(store, "predictions", "20260301T110001-b", [prediction("in time", NOON)])
    assert read_predictions(store, "digits", NOON, NOON + HOUR)["request_id"].to_pylist() == ["in time"]
    assert read_predictions(store, "digits", NOON - 6 * HOUR, NOON + HOUR).num_rows == 2


def test_a_compacted_day_is_one_file_of_each_kind_and_reads_the_same(any_store: Store):
    fill(any_store)
    before = read_all(any_store)
    written = compact_log(any_store, "digits", DAY)
    assert [address.split("/")[1] for address in written] == ["predictions", "feedback"]
    assert read_all(any_store) == before
    assert any_store.list("digits/predictions/2026-03-01") == written[:1]
    assert len(any_store.list("digits/predictions/2026-03-02")) == 1
    assert compact_log(any_store, "digits", DAY) == []


def test_compaction_keeps_every_label_and_drops_what_was_replayed(store: Store):
    for name, value in (("one", "7"), ("two", "8"), ("three", "8")):
        append_rows(store, "feedback", name, [label("a", NOON + HOUR * (value == "8"), value)])
    (address,) = compact_log(store, "digits", DAY)
    assert pq.read_table(pa.BufferReader(store.read(address)))["label"].to_pylist() == ["7", "8"]
    assert read_feedback(store, "digits", NOON)["label"].to_pylist() == ["8"]


def test_what_comes_late_joins_a_compacted_day(store: Store):
    fill(store)
    compact_log(store, "digits", DAY)
    append_rows(store, "predictions", "late", [prediction("late", NOON)])
    before = read_all(store)
    assert "late" in before[0]["request_id"].to_pylist()
    assert len(compact_log(store, "digits", DAY)) == 1
    assert read_all(store) == before


def test_a_day_of_very_many_rows_is_several_files(store: Store, monkeypatch):
    monkeypatch.setattr("include.predictions.MOST_ROWS", 6)
    fill(store)
    before = read_all(store)
    first = compact_log(store, "digits", DAY)
    assert [address.split("/")[3].split("-")[1] for address in first] == ["6", "6", "3", "2"]
    assert compact_log(store, "digits", DAY) == []
    append_rows(store, "predictions", "late", [prediction(str(number), NOON) for number in range(3)])
    assert [address.split("/")[3].split("-")[1] for address in compact_log(store, "digits", DAY)] == ["6"]
    assert read_all(store)[0].num_rows == before[0].num_rows + 3


def test_a_day_that_is_still_logged_is_not_compacted(store: Store):
    today = datetime.now(UTC).date()
    for day in (today, today + timedelta(days=1)):
        with pytest.raises(ContractViolationError, match="is not over"):
            compact_log(store, "digits", day)


def test_only_days_that_ended_a_day_ago_are_compacted(store: Store):
    now = datetime.now(UTC)
    for days in (0, 1, 2, 40):
        for name in "ab":
            moment = now - timedelta(days=days)
            append_rows(store, "predictions", f"{name}-{days}", [prediction(f"{name}-{days}", moment)])
    assert [address.split("/")[2] for address in compact_closed_days(store, "digits")] == [
        f"{now - timedelta(days=days):%Y-%m-%d}" for days in (40, 2)
    ]
    assert len(store.list("digits/predictions")) == 6
    assert compact_closed_days(store, "parts") == []


def test_a_kill_at_any_point_of_a_compaction_changes_nothing_for_a_reader(tmp_path):
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1
        store = Store(str(tmp_path / str(step)))
        fill(store)
        before = read_all(store)
        code = run_and_kill(store, step, partial(compact_log, store, "digits", DAY))
        assert read_all(store) == before
        compact_log(store, "digits", DAY)
        assert read_all(store) == before
        assert len(store.list("digits/predictions/2026-03-01")) == 1
    assert code == 0
    assert step > 16  # in front of and behind each of two writes and seven removals


def test_readers_and_compactions_may_run_at_once(store: Store):
    fill(store)
    before = read_all(store)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(read_all, store) for _ in range(10)]
        compacting = [pool.submit(compact_log, store, "digits", DAY) for _ in range(3)]
        found += [pool.submit(read_all, store) for _ in range(10)]
    assert all(one.result() == before for one in found)
    assert all(one.exception() is None for one in compacting)
    assert len(store.list("digits/predictions/2026-03-01")) <= 3


def test_what_a_listing_missed_because_it_was_joined_is_read_all_the_same(store: Store, monkeypatch):
    fill(store)
    before, listing, joined = read_all(store), store.list, []

    def list_slowly(address: str, pattern: str = "*") -> list[str]:
        found = listing(address, pattern)
        if joined:
            return found
        joined.extend(compact_log(Store(store.root), "digits", DAY))
        return [one for one in found if "/2026-03-02/" in one]

    monkeypatch.setattr(store, "list", list_slowly)
    assert read_all(store) == before
    assert joined


def fill(store: Store) -> None:
    for number in range(5):
        rows = [prediction(f"{number}-{index}", NOON + number * HOUR) for index in range(3)]
        append_rows(store, "predictions", f"segment-{number}", rows)
    append_rows(store, "predictions", "replayed", [prediction("0-0", NOON)])
    append_rows(store, "predictions", "next", [prediction("next", NOON + 24 * HOUR)])
    for name, value in (("one", "7"), ("two", "8")):
        append_rows(store, "feedback", name, [label("0-0", NOON + HOUR * (value == "8"), value)])


def read_all(store: Store) -> tuple[pa.Table, pa.Table]:
    return read_predictions(store, "digits", NOON, NOON + 48 * HOUR), read_feedback(store, "digits", NOON)
