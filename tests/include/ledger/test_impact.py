"""The impact of an incident is counted in its minutes, and the watcher's own questions are not among them."""

from datetime import UTC, datetime, timedelta

import pytest

from include.ledger.impact import Impact, measure_impact
from include.ledger.objectives import Tally, record_counts

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = START.replace(second=0)


@pytest.fixture
def count(ledger):
    """Write counts of one minute: answered of all, and fast of the answered."""

    def write(minute, answered, requests, fast, project="digits", source="log"):
        record_counts(ledger, project, "availability", source, {minute: Tally(answered, requests)})
        record_counts(ledger, project, "latency", source, {minute: Tally(fast, answered)})

    return write


def test_the_minutes_of_the_incident_count_and_no_others(ledger, count):
    for minutes in (-1, 0, 1, 2, 3):
        count(MINUTE + timedelta(minutes=minutes), answered=8, requests=10, fast=5)
    assert measure_impact(ledger, "digits", START, START + timedelta(minutes=2)) == Impact(30, 6, 9)


def test_only_clients_of_the_project_count(ledger, count):
    count(MINUTE, answered=1, requests=1, fast=1)
    count(MINUTE, answered=0, requests=4, fast=0, source="probe")
    count(MINUTE, answered=3, requests=5, fast=3, project="shapes")
    assert measure_impact(ledger, "digits", START, START) == Impact(1, 0, 0)
    assert measure_impact(ledger, "platform", START, START) == Impact(6, 2, 0)


def test_nothing_was_counted(ledger):
    assert measure_impact(ledger, "digits", START, START) == Impact(0, 0, 0)
