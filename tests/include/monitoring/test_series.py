import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest

from include.contracts import DriftReport, PerformanceReport, ProfileReport
from include.monitoring.series import (
    find_drift_report,
    name_drift_page,
    read_drift_series,
    read_performance_series,
    read_series,
    record_drift,
    record_performance,
    record_profile,
)
from include.storage import Store
from tests.include.kills import run_and_kill

LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FOLDER = "digits/profiles/series/profile"


def profile(start: datetime, **changes: object) -> ProfileReport:
    window = {"project": "digits", "start": start, "end": start + HOUR, "release": None, "predictions": 0}
    return ProfileReport.model_validate({**window, "address": None, **changes})


def performance(start: datetime, labelled: int) -> PerformanceReport:
    return PerformanceReport(project="digits", start=start, end=start + HOUR, predictions=9, labelled=labelled)


def hours(count: int, since: datetime = LONG_AGO) -> list[ProfileReport]:
    return [profile(since + number * HOUR, predictions=number) for number in range(count)]


def test_windows_are_read_in_time_order_from_a_moment_on(any_store: Store):
    reports = hours(30)
    for report in reversed(reports):
        record_profile(any_store, report)
    assert read_series(any_store, "digits", LONG_AGO) == reports
    assert read_series(any_store, "digits", LONG_AGO + 5 * HOUR) == reports[5:]
    assert read_series(any_store, "digits", LONG_AGO + 30 * HOUR) == []


def test_nothing_recorded_is_nothing_read(any_store: Store):
    assert read_series(any_store, "digits", LONG_AGO) == []
    record_profile(any_store, profile(LONG_AGO, project="parts"))
    assert read_series(any_store, "digits", LONG_AGO) == []


def test_each_kind_has_a_series_of_its_own(store: Store):
    window = {"project": "digits", "start": LONG_AGO, "end": LONG_AGO + HOUR, "predictions": 9}
    drift = DriftReport(**window, release=None, verdict="stable", summary="line \u2028 and\nanother\twith a tab")
    record_drift(store, drift)
    record_performance(store, performance(LONG_AGO, 3))
    assert read_drift_series(store, "digits", LONG_AGO) == [drift]
    assert read_performance_series(store, "digits", LONG_AGO) == [performance(LONG_AGO, 3)]
    assert read_series(store, "digits", LONG_AGO) == []


@pytest.mark.parametrize("start", [LONG_AGO, datetime.now(UTC)], ids=["folded", "open"])
def test_what_was_measured_last_of_a_window_counts(store: Store, start: datetime):
    for labelled in (1, 9, 4):
        record_performance(store, performance(start, labelled))
        record_performance(store, performance(start + HOUR / 2, labelled))
    assert [one.labelled for one in read_performance_series(store, "digits", start)] == [4, 4]


def test_a_day_that_is_over_is_one_file_and_today_is_not(store: Store):
    today = datetime.now(UTC).replace(hour=0, minute=0)
    for report in (*hours(30), *hours(3, today)):
        record_profile(store, report)
    files = [address.split("/")[4] for address in store.list(FOLDER)]
    assert files == ["2026-03-01", "2026-03-02", *[f"{today:%Y-%m-%d}"] * 3]


def test_a_moment_of_another_zone_is_the_same_moment(store: Store):
    record_profile(store, profile(datetime.fromisoformat("2026-03-02T01:30:00+05:00")))
    assert len(read_series(store, "digits", datetime(2026, 3, 1, 20, 30, tzinfo=UTC))) == 1
    assert read_series(store, "digits", datetime(2026, 3, 1, 20, 31, tzinfo=UTC)) == []


@pytest.mark.parametrize("at_most", [1, 7, 29, 30, 31])
def test_a_chart_gets_as_much_as_it_can_show_and_the_newest(store: Store, at_most: int):
    for report in hours(30):
        record_profile(store, report)
    found = read_series(store, "digits", LONG_AGO, at_most)
    assert len(found) <= at_most
    assert found[-1] == hours(30)[-1]
    assert len({later.start - earlier.start for earlier, later in pairwise(found)}) <= 1


def test_a_kill_at_any_point_of_folding_loses_nothing(tmp_path):
    reports, step, code = hours(5), 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1
        store = Store(str(tmp_path / str(step)))
        for report in reports[:4]:
            record_profile(store, report)
        code = run_and_kill(store, step, partial(record_profile, store, reports[4]))
        assert read_series(store, "digits", LONG_AGO) in (reports[:4], reports)
        record_profile(store, reports[4])
        assert read_series(store, "digits", LONG_AGO) == reports
        assert len(store.list(FOLDER)) == 1
    assert code == 0
    assert step > 8  # in front of and behind each of two writes and two removals


def test_many_record_and_fold_at_once(store: Store):
    reports = hours(24)
    with ThreadPoolExecutor(8) as pool:
        recorded = pool.map(lambda report: record_profile(store, report), reports)
        for _ in range(20):
            assert len(read_series(store, "digits", LONG_AGO)) <= 24
        list(recorded)
    assert read_series(store, "digits", LONG_AGO) == reports


def drift(start: datetime, length: timedelta = HOUR, **changes: object) -> DriftReport:
    window = {"project": "digits", "start": start, "end": start + length, "release": None, "predictions": 80}
    report = DriftReport.model_validate({**window, "verdict": "stable", "summary": "stable", **changes})
    return report.model_copy(update={"report": name_drift_page(report)})


def test_a_window_is_found_by_the_address_of_its_page(any_store: Store):
    long = drift(LONG_AGO - timedelta(days=7), timedelta(days=7, hours=1))
    reports = [long, *(drift(LONG_AGO + number * HOUR) for number in range(30))]
    for report in reports:
        record_drift(any_store, report)
    assert [find_drift_report(any_store, report.report or "") for report in reports] == reports


def test_what_came_out_anew_is_found_as_it_came_out_last(store: Store):
    before, after = (drift(LONG_AGO, verdict=verdict) for verdict in ("stable", "drift"))
    for report in (before, after):
        record_drift(store, report)
    assert (find_drift_report(store, before.report or ""), find_drift_report(store, after.report or "")) == (
        None,
        after,
    )


@pytest.mark.parametrize(
    "address",
    [
        "digits/reports/drift/1/index.html",
        "digits/reports/drift/20260301T010000-0123456789abcdef/index.html",
        "digits/reports/drift/20269999T999999-0123456789abcdef/index.html",
        "digits/reports/drift/20260301T010000-0123456789abcdef/result.json",
        "../reports/drift/20260301T010000-0123456789abcdef/index.html",
        "plankton/reports/drift/20260301T010000-0123456789abcdef/index.html",
        "\0/reports/drift/20260301T010000-0123456789abcdef/index.html",
    ],
)
def test_an_address_of_no_window_finds_none(store: Store, address: str):
    record_drift(store, drift(LONG_AGO))
    assert find_drift_report(store, address) is None
