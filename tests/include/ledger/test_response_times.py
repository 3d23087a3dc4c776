"""How long people take is measured from the opening, over the incidents of a time."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.ledger.incidents import open_incident
from include.ledger.response_times import ResponseTimes, measure_response
from include.ledger.tables import incidents

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def add(ledger):
    """Write an incident that was answered and ended so many minutes after its opening."""

    def write(key, answered=None, ended=None, project="digits", opened=START):
        told = {"kind": "manual", "key": key, "title": key, "impact": "low", "urgency": "low", "runbook": "r"}
        number = open_incident(ledger, project, **told)
        values = {"opened_at": opened}
        values |= {"acknowledged_at": opened + timedelta(minutes=answered)} if answered is not None else {}
        values |= {"resolved_at": opened + timedelta(minutes=ended)} if ended is not None else {}
        with ledger.begin() as connection:
            connection.execute(sa.update(incidents).where(incidents.c.id == number).values(values))

    return write


def test_means_are_over_those_that_got_so_far(ledger, add):
    add("a", answered=10, ended=60)
    add("b", answered=20)
    add("c", ended=30)
    add("d")
    minutes = timedelta(minutes=15), timedelta(minutes=45)
    assert measure_response(ledger, "digits", START) == ResponseTimes(4, 2, 2, *minutes)


def test_other_projects_and_older_incidents_do_not_count(ledger, add):
    add("a", answered=10, ended=60, project="shapes")
    add("b", answered=10, ended=60, opened=START - timedelta(days=1))
    assert measure_response(ledger, "digits", START) == ResponseTimes(0, 0, 0, None, None)
    assert measure_response(ledger, None, START).resolved == 1
