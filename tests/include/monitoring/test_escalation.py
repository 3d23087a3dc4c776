"""Nobody answers: the incident goes from one to the next of the path, by the clock."""

from datetime import timedelta

import pytest

from include.ledger.incidents import acknowledge_incident, find_incident, open_incident, resolve_incident
from include.monitoring.escalation import escalate_overdue
from include.project import EscalationPolicy

POLICY = EscalationPolicy(path=("lead", "head"), critical_minutes=15, major_minutes=60)


@pytest.fixture
def incident(ledger):
    told = {"kind": "slo_burn", "key": "slo", "title": "burns", "runbook": "r", "owner": "ann"}
    return find_incident(ledger, open_incident(ledger, "digits", impact="high", urgency="high", **told))


@pytest.fixture
def look(ledger, incident):
    """Let a watcher look so many minutes after the opening."""
    return lambda minutes, policy=POLICY: escalate_overdue(
        "digits", policy, ledger, incident.opened_at + timedelta(minutes=minutes)
    )


def test_it_goes_along_the_path_and_stays_at_its_end(ledger, incident, look):
    owners = []
    for minutes in (0, 14.9, 15, 15, 29.9, 30, 45, 600):
        look(minutes)
        owners.append(find_incident(ledger, incident.id).owner)
    assert owners == ["ann", "ann", "lead", "lead", "lead", "head", "head", "head"]
    told = [event.what for event in find_incident(ledger, incident.id).timeline if event.kind == "escalated"]
    assert told == [
        "to lead: nobody has acknowledged it within 15 minutes",
        "to head: nobody has acknowledged it within 30 minutes",
    ]


def test_a_watcher_that_was_away_goes_the_missed_steps_one_at_a_time(ledger, incident, look):
    assert [look(600), look(600), look(600)] == [[incident.id], [incident.id], []]
    assert find_incident(ledger, incident.id).escalation == 2


@pytest.mark.parametrize("deed", [acknowledge_incident, resolve_incident])
def test_an_answer_ends_it(ledger, incident, look, deed):
    look(15)
    deed(ledger, incident.id, who="ann", why="on it")
    assert look(600) == []
    assert find_incident(ledger, incident.id).escalation == 1


def test_without_a_path_it_stays_where_it_is(ledger, incident, look):
    assert look(600, EscalationPolicy()) == []
    assert find_incident(ledger, incident.id).owner == "ann"


def test_each_severity_has_its_own_patience_and_the_least_has_no_end_of_it(ledger, incident):
    told = {"kind": "manual", "title": "t", "runbook": "r"}
    major = open_incident(ledger, "digits", key="a", impact="high", urgency="medium", **told)
    least = open_incident(ledger, "digits", key="b", impact="low", urgency="low", **told)
    other = open_incident(ledger, "shapes", key="a", impact="high", urgency="high", **told)
    opened = find_incident(ledger, other).opened_at
    assert escalate_overdue("digits", POLICY, ledger, opened + timedelta(minutes=59)) == [incident.id]
    assert set(escalate_overdue("digits", POLICY, ledger, opened + timedelta(minutes=61))) == {incident.id, major}
    escalate_overdue("digits", POLICY, ledger, opened + timedelta(days=30))
    assert [find_incident(ledger, one).escalation for one in (least, other)] == [0, 0]
