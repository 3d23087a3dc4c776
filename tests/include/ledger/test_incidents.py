"""An incident is opened once however often its trouble is told, answered once, and every deed is on the audit chain."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from include.contracts import IncidentReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.audit import verify_chain
from include.ledger.chronicle import list_entries
from include.ledger.corrective_actions import add_action, finish_action
from include.ledger.incidents import (
    acknowledge_incident,
    add_note,
    escalate_incident,
    find_incident,
    find_unresolved,
    list_incidents,
    list_lessons,
    open_incident,
    resolve_incident,
    resolve_key,
)
from include.settings import REPOSITORY

TOLD = {
    "kind": "dead_service", "key": "service/mlflow", "title": "MLflow does not answer", "impact": "medium",
    "urgency": "medium", "runbook": "docs/runbook.md#mlflow-down", "owner": "ops", "who": "watcher",
}  # fmt: skip


def tell(ledger: Ledger, project: str = "digits", **changed) -> int:
    return open_incident(ledger, project, **{**TOLD, **changed})


def list_kinds(incident: IncidentReport) -> list[str]:
    return [event.kind for event in incident.timeline]


def test_it_is_opened_with_all_that_is_known(ledger):
    number = tell(ledger, evidence={"status": 503, "since": "2026-03-01"})
    found = find_incident(ledger, number)
    assert (found.project, found.kind, found.severity, found.state) == ("digits", "dead_service", "minor", "open")
    assert (found.owner, found.runbook, found.seen) == ("ops", "docs/runbook.md#mlflow-down", 1)
    assert found.evidence == {"status": 503, "since": "2026-03-01"}
    assert [(event.kind, event.who, event.what) for event in found.timeline] == [
        ("opened", "watcher", "MLflow does not answer")
    ]


def test_told_late_it_is_as_long_as_it_was(ledger):
    began = datetime.now(UTC) - timedelta(hours=1)
    number = tell(ledger, opened_at=began)
    resolve_key(ledger, "digits", TOLD["key"], who="watcher", why="it answers again")
    found = find_incident(ledger, number)
    assert found.opened_at == found.timeline[0].at == began
    assert timedelta(hours=1) <= found.resolved_at - found.opened_at < timedelta(hours=1, minutes=1)
    assert list_kinds(found) == ["opened", "resolved"]


def test_evidence_that_is_no_json_is_kept_as_far_as_it_can_be(ledger, store):
    odd = {"loss": float("nan"), "at": datetime(2026, 3, 1, tzinfo=UTC), "share": np.float64(0.5), "path": Path("a/b")}
    found = find_incident(ledger, tell(ledger, evidence=odd))
    assert found.evidence == {"loss": None, "at": "2026-03-01T00:00:00Z", "share": 0.5, "path": "a/b"}
    assert len(verify_chain(ledger, "digits", store)[0]) == 1


def test_told_again_it_is_the_same_until_it_is_resolved(ledger):
    number = tell(ledger)
    assert {tell(ledger, evidence={"status": n}) for n in range(5)} == {number}
    found = find_incident(ledger, number)
    assert (found.seen, found.evidence) == (6, {"status": 4})
    assert list_kinds(found) == ["opened", "seen_again"]
    assert found.timeline[1].what == "reported 6 times"
    resolve_incident(ledger, number, who="ann", why="restarted")
    assert tell(ledger) == number + 1
    assert tell(ledger, project="shapes") not in {number, find_unresolved(ledger, "digits", TOLD["key"]).id}


def test_a_line_of_somebody_else_ends_a_row_of_repetitions(ledger):
    number = tell(ledger)
    tell(ledger)
    add_note(ledger, number, who="ann", what="restarting it")
    tell(ledger)
    tell(ledger)
    assert list_kinds(find_incident(ledger, number)) == ["opened", "seen_again", "note", "seen_again"]


def test_it_grows_worse_and_never_milder(ledger):
    number = tell(ledger)
    tell(ledger, impact="high", urgency="high", title="nobody answers")
    assert (find_incident(ledger, number).severity, find_incident(ledger, number).title) == (
        "critical",
        "nobody answers",
    )
    tell(ledger, impact="low", urgency="low", title="better")
    found = find_incident(ledger, number)
    assert (found.severity, found.impact, found.title) == ("critical", "high", "nobody answers")
    assert "critical instead of minor: nobody answers" in [event.what for event in found.timeline]


def test_of_many_at_once_one_opens_it(ledger):
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: tell(ledger), range(40)))
    assert len(set(numbers)) == 1
    found = find_incident(ledger, numbers[0])
    assert (found.seen, list_kinds(found).count("opened")) == (40, 1)
    assert len(list_entries(ledger, "digits", 100)) == 1


@pytest.mark.timeout(60)
def test_who_is_killed_while_telling_leaves_a_whole_incident_or_none(ledger):
    code = (
        "import sys; from include.ledger import Ledger; from include.ledger.incidents import open_incident\n"
        "ledger = Ledger(sys.argv[1]); print('go', flush=True)\n"
        "for n in range(100000):\n"
        "    open_incident(ledger, 'digits', kind='manual', key=str(n), title='t', impact='low', urgency='low',"
        " runbook='r')"
    )
    uri = ledger.url.render_as_string(hide_password=False)
    telling = subprocess.Popen([sys.executable, "-c", code, uri], cwd=REPOSITORY, stdout=subprocess.PIPE)
    telling.stdout.readline()
    while len(list_incidents(ledger, "digits", 9)) < 5:
        pass
    telling.kill()
    telling.wait()
    opened = list_incidents(ledger, None, 100000)
    assert all(list_kinds(one) == ["opened"] for one in opened)
    assert len(list_entries(ledger, "digits", 100000)) == len(opened) >= 5


def test_it_is_taken_on_by_the_first_who_says_so(ledger):
    number = tell(ledger)
    acknowledge_incident(ledger, number, who="ann", why="on it")
    acknowledge_incident(ledger, number, who="bob")
    found = find_incident(ledger, number)
    assert (found.state, found.acknowledged_by, found.owner) == ("acknowledged", "ann", "ann")
    assert found.acknowledged_at >= found.opened_at
    assert list_kinds(found) == ["opened", "acknowledged"]


def test_it_is_resolved_once_and_a_lesson_may_follow(ledger):
    number = tell(ledger)
    resolve_incident(ledger, number, who="ann", why="restarted")
    resolve_incident(ledger, number, who="bob", why="too late")
    found = find_incident(ledger, number)
    assert (found.state, found.resolved_by, list_kinds(found)) == ("resolved", "ann", ["opened", "resolved"])
    assert list_lessons(ledger, "digits", 10) == []
    resolve_incident(ledger, number, who="bob", why="", lesson="watch its memory")
    (learned,) = list_lessons(ledger, None, 10)
    assert (learned.id, learned.lesson, learned.resolved_by) == (number, "watch its memory", "ann")
    assert list_lessons(ledger, "shapes", 10) == []
    with pytest.raises(ContractViolationError, match=f"incident {number} was resolved by ann"):
        acknowledge_incident(ledger, number, who="bob")


def test_trouble_that_ends_by_itself_resolves_its_incident(ledger):
    assert resolve_key(ledger, "digits", TOLD["key"], who="watcher", why="answers again") is None
    number = tell(ledger)
    assert resolve_key(ledger, "shapes", TOLD["key"], who="watcher", why="answers again") is None
    assert resolve_key(ledger, "digits", TOLD["key"], who="watcher", why="answers again") == number
    assert find_unresolved(ledger, "digits", TOLD["key"]) is None


def test_of_two_who_hand_it_on_one_does(ledger):
    number = tell(ledger)
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda _: escalate_incident(ledger, number, 0, to="lead", why="late", who="watcher"), range(4))
        )
    assert sorted(done) == [False, False, False, True]
    found = find_incident(ledger, number)
    assert (found.escalation, found.owner, list_kinds(found)) == (1, "lead", ["opened", "escalated"])
    acknowledge_incident(ledger, number, who="ann")
    assert not escalate_incident(ledger, number, 1, to="head", why="late", who="watcher")


def test_every_deed_of_people_is_on_the_audit_chain(ledger, store):
    number = tell(ledger)
    acknowledge_incident(ledger, number, who="ann", why="on it")
    add_note(ledger, number, who="ann", what="restarting it")
    escalate_incident(ledger, number, 0, to="lead", why="late", who="watcher")
    action = add_action(ledger, number, who="ann", what="more memory", owner="bob")
    finish_action(ledger, action, who="bob")
    resolve_incident(ledger, number, who="ann", why="restarted", lesson="watch it")
    chain, _ = verify_chain(ledger, "digits", store)
    assert {(entry.kind, entry.subject) for entry in chain} == {("incident", f"incident {number}")}
    assert [(entry.who, entry.payload["deed"]) for entry in chain] == [
        ("watcher", "opened"), ("ann", "acknowledged"), ("ann", "note"), ("ann", "action"), ("bob", "action"),
        ("ann", "resolved"), ("ann", "note"),
    ]  # fmt: skip


def test_the_newest_come_first_and_the_resolved_may_be_left_out(ledger):
    numbers = [tell(ledger, key=str(n)) for n in range(4)]
    other = tell(ledger, project="shapes")
    resolve_incident(ledger, numbers[2], who="ann", why="over")
    assert [one.id for one in list_incidents(ledger, "digits", 3)] == numbers[:0:-1]
    assert [one.id for one in list_incidents(ledger, None, 9, unresolved=True)] == [
        other,
        *(numbers[n] for n in (3, 1, 0)),
    ]


@pytest.mark.parametrize("deed", [acknowledge_incident, resolve_incident, add_note])
def test_nothing_is_done_about_an_incident_that_is_not_there(ledger, deed):
    said = {"what": "x"} if deed is add_note else {"why": "x"}
    with pytest.raises(ArtifactNotFoundError, match="no incident 7"):
        deed(ledger, 7, who="ann", **said)


@pytest.mark.parametrize(
    "wrong", [{"kind": "noise"}, {"impact": "huge"}, {"urgency": ""}, {"title": ""}, {"key": ""}, {"project": "../x"}]
)
def test_what_is_no_incident_is_refused(ledger, wrong):
    with pytest.raises(ContractViolationError, match="no incident"):
        tell(ledger, **wrong)
    assert list_incidents(ledger, None, 9) == []


@pytest.mark.parametrize(("what", "kind"), [("", "note"), ("  ", "note"), ("x", "resolved"), ("x", "seen_again")])
def test_no_deed_can_be_made_up_as_a_note(ledger, what, kind):
    number = tell(ledger)
    with pytest.raises(ContractViolationError, match="no line for a timeline"):
        add_note(ledger, number, who="ann", what=what, kind=kind)
