"""A rollout that the judge takes back opens an incident in the same transaction; what people take back opens none."""

import pytest

from include.ledger import Ledger
from include.ledger.incidents import list_incidents
from include.ledger.releases import record_release
from include.ledger.rollouts import complete_rollout, revert_rollout, start_rollout
from tests.rollouts import serve


@pytest.fixture
def rollout(ledger: Ledger, make_release):
    champion, release = make_release("a"), make_release("b")
    for one in (champion, release):
        record_release(ledger, one)
    serve(ledger, champion)
    return start_rollout(ledger, release, "run", "canary", {})


def test_what_the_judge_takes_back_is_one_incident(ledger, rollout):
    for _ in range(2):
        revert_rollout(ledger, rollout, ["errors rose", "slow"], who="judge", forced=True, under_way=True)
    (found,) = list_incidents(ledger, "digits", 9)
    assert (found.kind, found.severity, found.key, found.seen) == ("rollback", "minor", f"rollback/{rollout.id}", 1)
    assert found.title == "version 1 was taken back: errors rose; slow"
    assert found.evidence["release"] == rollout.release.digest
    suspects = [event.what for event in found.timeline if event.kind == "change"]
    assert [what for what in suspects if what.startswith("suspect 1: release") and "begins: canary" in what]
    assert not any("taken back" in what for what in suspects)


def test_what_people_take_back_is_none(ledger, rollout):
    revert_rollout(ledger, rollout, ["ann says so"], who="ann", forced=True)
    assert list_incidents(ledger, "digits", 9) == []


def test_a_verdict_that_comes_too_late_is_none(ledger, rollout):
    complete_rollout(ledger, rollout)
    revert_rollout(ledger, rollout, ["errors rose"], who="judge", forced=True, under_way=True)
    assert list_incidents(ledger, "digits", 9) == []
