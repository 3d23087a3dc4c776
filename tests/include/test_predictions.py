from datetime import UTC, datetime, timedelta, timezone

import pytest

from include.errors import ContractViolationError
from include.predictions import STATISTICS, append_rows, read_feedback, read_predictions
from include.storage import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


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
