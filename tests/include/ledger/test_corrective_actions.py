"""What is to be done after an incident is kept until it is done, also after the incident is resolved."""

from datetime import UTC, datetime

import pytest

from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.corrective_actions import add_action, find_action, finish_action, list_open_actions
from include.ledger.incidents import find_incident, open_incident, resolve_incident


def tell(ledger: Ledger, project: str = "digits") -> int:
    return open_incident(
        ledger, project, kind="manual", key="k", title="smoke", impact="low", urgency="low", runbook="docs/x.md"
    )


def test_corrective_actions_are_tracked(ledger):
    number = tell(ledger)
    due = datetime(2026, 12, 1, tzinfo=UTC)
    first = add_action(ledger, number, who="ann", what="more memory", owner="bob", due=due)
    add_action(ledger, number, who="ann", what="an alarm", owner="ann")
    finish_action(ledger, first, who="bob", why="16 GB")
    finish_action(ledger, first, who="bob", why="again")
    found = find_incident(ledger, number)
    assert [(one.what, one.owner, one.done_at is not None) for one in found.actions] == [
        ("more memory", "bob", True),
        ("an alarm", "ann", False),
    ]
    assert found.actions[0].due == due
    assert [event.what for event in found.timeline if event.kind == "action"] == [
        "to do by bob, due 2026-12-01: more memory",
        "to do by ann: an alarm",
        "done: more memory; 16 GB",
    ]


def test_what_is_to_be_done_outlives_its_incident_until_it_is_done(ledger):
    number, other, foreign = tell(ledger), tell(ledger, "platform"), tell(ledger, "shapes")
    add_action(ledger, foreign, who="ann", what="theirs", owner="zoe")
    someday = add_action(ledger, number, who="ann", what="an alarm", owner="ann")
    later = add_action(
        ledger, other, who="ann", what="a bigger disk", owner="bob", due=datetime(2027, 1, 1, tzinfo=UTC)
    )
    soon = add_action(ledger, number, who="ann", what="more memory", owner="bob", due=datetime(2026, 12, 1, tzinfo=UTC))
    resolve_incident(ledger, number, who="ann", why="restarted")
    assert [one.id for one in list_open_actions(ledger, ["digits", "platform"])] == [soon, later, someday]
    finish_action(ledger, soon, who="bob")
    assert [one.id for one in list_open_actions(ledger, ["digits", "platform"])] == [later, someday]
    assert find_action(ledger, soon).done_at
    assert find_action(ledger, later).incident == other


@pytest.mark.parametrize("deed", [find_action, lambda ledger, action: finish_action(ledger, action, who="ann")])
def test_an_action_that_is_not_there_is_said(ledger, deed):
    with pytest.raises(ArtifactNotFoundError, match="no corrective action 7"):
        deed(ledger, 7)
