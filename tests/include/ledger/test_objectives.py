from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from include.contracts import ObjectiveReport
from include.ledger import Ledger
from include.ledger.objectives import (
    Tally,
    drop_counts,
    find_last_minute,
    forget_objectives,
    list_objectives,
    record_counts,
    record_objective,
    sum_counts,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def minute(ago: float) -> datetime:
    return NOW - timedelta(minutes=ago)


def report(objective: str, left: float) -> ObjectiveReport:
    counts = {"target": 0.99, "days": 28, "good": 99, "events": 100}
    told = {"project": "digits", "objective": objective, "at": NOW, "left": left, "verdict": "met", "summary": "x"}
    return ObjectiveReport.model_validate(told | counts)


def test_counts_add_up_over_each_length(ledger: Ledger):
    counts = {minute(0): Tally(1, 1), minute(30): Tally(5, 6), minute(90): Tally(10, 20)}
    record_counts(ledger, "digits", "availability", "log", counts)
    record_counts(ledger, "digits", "availability", "probe", {minute(0): Tally(3, 4)})
    record_counts(ledger, "digits", "latency", "log", {minute(0): Tally(7, 7)})
    record_counts(ledger, "faces", "availability", "log", {minute(0): Tally(9, 9)})
    assert sum_counts(ledger, "digits", "availability", NOW, (1 / 12, 1, 2)) == {
        1 / 12: Tally(4, 5),
        1: Tally(9, 11),
        2: Tally(19, 31),
    }


def test_nothing_counted_is_nothing(ledger: Ledger):
    record_counts(ledger, "digits", "availability", "log", {})
    assert sum_counts(ledger, "digits", "availability", NOW, (1,)) == {1: Tally(0, 0)}
    assert find_last_minute(ledger, "digits", "availability", "log") is None


def test_counting_a_minute_again_adds_only_what_is_new(ledger: Ledger):
    tellings = [{minute(1): Tally(good, good + 1)} for good in (5, 9, 7, 9)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: record_counts(ledger, "digits", "availability", "log", one), tellings))
    assert sum_counts(ledger, "digits", "availability", NOW, (1,)) == {1: Tally(9, 10)}
    assert find_last_minute(ledger, "digits", "availability", "log") == minute(1)


def test_old_counts_are_dropped(ledger: Ledger):
    record_counts(ledger, "digits", "availability", "log", {minute(1): Tally(1, 1), minute(90): Tally(1, 1)})
    drop_counts(ledger, minute(60))
    assert sum_counts(ledger, "digits", "availability", NOW, (2,)) == {2: Tally(1, 1)}


def test_the_newest_report_of_each_objective_stays(ledger: Ledger):
    for objective, left in (("latency", 0.5), ("availability", 0.9), ("latency", 0.4)):
        record_objective(ledger, report(objective, left))
    assert list_objectives(ledger, "digits") == [report("availability", 0.9), report("latency", 0.4)]
    forget_objectives(ledger, "digits", {"latency"})
    assert list_objectives(ledger, "digits") == [report("latency", 0.4)]
