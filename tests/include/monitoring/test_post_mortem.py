"""The draft of a post-mortem holds what is known, and survives what hostile texts are in it."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.errors import ArtifactNotFoundError
from include.ledger.corrective_actions import add_action, finish_action
from include.ledger.incidents import (
    acknowledge_incident,
    find_incident,
    open_incident,
    resolve_incident,
)
from include.ledger.objectives import Tally, record_counts
from include.ledger.tables import incidents
from include.monitoring.post_mortem import post_mortem_address, write_missing, write_post_mortem
from include.monitoring.timeline import watch_changes

TOLD = {"kind": "slo_burn", "key": "slo", "runbook": "docs/incidents.md#slo_burn", "impact": "high", "urgency": "high"}
EVIL = "<script>alert(1)</script> {{ 7 * 7 }}"


@pytest.fixture
def incident(ledger, project):
    """An hour of trouble after a changed project file, answered and ended."""
    watch_changes([project], ledger)
    watch_changes([project.model_copy(update={"owner": "somebody"})], ledger)
    number = open_incident(ledger, project.name, title=f"burns {EVIL}", evidence={"burn": 14.4}, who="watcher", **TOLD)
    acknowledge_incident(ledger, number, who="ann")
    done = add_action(ledger, number, who="ann", what="halve the canary", owner="bob")
    finish_action(ledger, done, who="bob")
    add_action(ledger, number, who="ann", what="an alarm", owner="bob", due=datetime(2026, 12, 1, tzinfo=UTC))
    resolve_incident(ledger, number, who="ann", why="taken back", lesson="canaries first")
    with ledger.begin() as connection:
        started = incidents.c.resolved_at - timedelta(hours=1)
        connection.execute(sa.update(incidents).where(incidents.c.id == number).values(opened_at=started))
    return find_incident(ledger, number)


def read(store, incident):
    page = post_mortem_address(incident)
    return store.read(page).decode(), store.read(page.replace("index.html", "post_mortem.md")).decode()


def test_it_tells_impact_response_suspects_and_actions(ledger, store, incident):
    minute = (incident.opened_at + timedelta(minutes=30)).replace(second=0, microsecond=0)
    record_counts(ledger, "digits", "availability", "log", {minute: Tally(3, 5)})
    record_counts(ledger, "digits", "latency", "log", {minute: Tally(2, 3)})
    assert write_post_mortem(incident.id, ledger, store, datetime.now(UTC)) == post_mortem_address(incident)
    page, text = read(store, incident)
    for said in (
        "5 requests in that time, as far as counted: 2 that no model answered, 1 answered later than promised",
        "**critical** (impact high, urgency high)",
        "Lasted 60.0 min, reported 1 time",
        "Resolved after 60.0 min; usual: 60.0 min",
        '1. configuration, 0 min before: owner "ml-platform" → "somebody"',
        "- burn: 14.4",
        "watcher, opened: burns",
        "- [x] halve the canary (bob)",
        "- [ ] an alarm (bob, due 2026-12-01)",
        "canaries first",
    ):
        assert said in text
    assert "done: halve the canary" in page
    assert "canaries first" in page


def test_nothing_that_was_told_becomes_code(ledger, store, incident):
    write_post_mortem(incident.id, ledger, store, datetime.now(UTC))
    page, text = read(store, incident)
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    assert EVIL in text


def test_an_open_incident_is_drafted_as_it_stands(ledger, store):
    number = open_incident(ledger, "digits", title="burns", **TOLD)
    opened = find_incident(ledger, number).opened_at
    write_post_mortem(number, ledger, store, opened + timedelta(days=3))
    _, text = read(store, find_incident(ledger, number))
    assert "Lasted 72.0 h" in text
    assert "Resolved after -" in text
    assert "Nothing that the ledger knows of" in text
    assert "*None yet.*" in text


def test_drafts_that_are_missing_are_written_once(ledger, store, incident):
    now = datetime.now(UTC)
    assert write_missing("digits", ledger, store, now) == [post_mortem_address(incident)]
    assert write_missing("digits", ledger, store, now) == []
    store.remove(post_mortem_address(incident))
    assert write_missing("digits", ledger, store, now + timedelta(days=2)) == []


def test_what_goes_on_or_hardly_matters_is_not_drafted_by_itself(ledger, store):
    open_incident(ledger, "digits", title="goes on", **TOLD)
    small = {**TOLD, "key": "small", "impact": "low", "urgency": "low"}
    resolve_incident(ledger, open_incident(ledger, "digits", title="small", **small), who="ann", why="over")
    assert write_missing("digits", ledger, store, datetime.now(UTC)) == []


def test_an_incident_that_is_not_there_has_none(ledger, store):
    with pytest.raises(ArtifactNotFoundError, match="no incident 7"):
        write_post_mortem(7, ledger, store, datetime.now(UTC))
