import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.ledger.quality import (
    find_release,
    list_settled_partitions,
    list_validations,
    record_release,
    record_validation,
)
from include.ledger.tables import validations

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")


@pytest.fixture
def reports(make_validation):
    return [make_validation(day, accepted=9 + number) for number, day in enumerate(DAYS)]


def test_the_latest_verdict_of_every_partition_is_listed_in_order(ledger, make_validation, reports):
    for report in reversed(reports):
        record_validation(ledger, report, passed=True)
    corrected = make_validation(DAYS[1], accepted=100)
    record_validation(ledger, corrected, passed=True)
    record_validation(ledger, make_validation(DAYS[0], project="other"), passed=True)
    assert list_validations(ledger, "digits") == [reports[0], corrected, reports[2]]


def test_a_partition_sees_only_those_before_it(ledger, reports):
    for report in reports:
        record_validation(ledger, report, passed=True)
    assert list_validations(ledger, "digits", before=DAYS[1]) == reports[:1]
    assert list_validations(ledger, "digits", before=DAYS[0]) == []
    assert list_validations(ledger, "digits", before="snapshot") == reports


def test_a_partition_counts_as_its_last_verdict_says(ledger, make_validation, reports):
    record_validation(ledger, reports[0], passed=True)
    record_validation(ledger, reports[1], passed=True)
    worse = make_validation(DAYS[0], accepted=3)
    record_validation(ledger, worse, passed=False)
    assert list_validations(ledger, "digits", passed=True) == [reports[1]]
    assert list_validations(ledger, "digits", passed=False) == [worse]


def test_the_same_verdict_again_is_one_record_and_another_is_another(ledger, make_validation):
    from sqlalchemy import func, select

    from include.ledger.tables import validations

    def count():
        with ledger.begin() as connection:
            return connection.scalar(select(func.count()).select_from(validations))

    report = make_validation(DAYS[0])
    attempts = [threading.Thread(target=record_validation, args=(ledger, report, True)) for _ in range(8)]
    for attempt in attempts:
        attempt.start()
    for attempt in attempts:
        attempt.join()
    assert count() == 1
    record_validation(ledger, report, passed=False)
    record_validation(ledger, report, passed=True)
    assert count() == 3


def test_a_release_holds_for_exactly_the_content_it_names(ledger, make_validation):
    report = make_validation(DAYS[0])
    assert find_release(ledger, report) is None
    record_release(ledger, "digits", DAYS[0], report.address, "mira", "blurred on purpose")
    record_release(ledger, "digits", DAYS[0], report.address, "mira", "said twice")
    assert find_release(ledger, report) == "blurred on purpose"
    assert find_release(ledger, report.model_copy(update={"address": "other"})) is None
    assert find_release(ledger, report.model_copy(update={"partition": DAYS[1]})) is None
    assert find_release(ledger, report.model_copy(update={"project": "other"})) is None


def test_a_partition_is_settled_when_its_last_validation_is_old(ledger, make_validation):
    for partition in ("2026-03-01", "2026-03-02"):
        record_validation(ledger, make_validation(partition), passed=True)
    with ledger.begin() as connection:
        connection.execute(sa.update(validations).values(recorded_at=sa.func.now() - timedelta(days=31)))
    record_validation(ledger, make_validation("2026-03-02", accepted=8), passed=False)
    assert list_settled_partitions(ledger, "digits", 30) == ["2026-03-01"]
    assert list_settled_partitions(ledger, "digits", 32) == []
    assert list_settled_partitions(ledger, "leaves", 30) == []
