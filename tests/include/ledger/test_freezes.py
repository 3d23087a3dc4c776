from concurrent.futures import ThreadPoolExecutor

import pytest

from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.chronicle import list_entries
from include.ledger.freezes import freeze_rollouts, lift_freeze, list_freezes

SLO = {"cause": "slo/availability", "reason": "the error budget is used up"}


def test_a_freeze_stands_until_it_is_lifted(ledger: Ledger):
    assert freeze_rollouts(ledger, "digits", **SLO, who="watcher")
    (standing,) = list_freezes(ledger, "digits")
    assert (standing.cause, standing.reason) == ("slo/availability", "the error budget is used up")
    assert list_freezes(ledger, "faces") == []
    lift_freeze(ledger, "digits", cause="slo/availability", who="anna", why="the fix has to go out")
    assert list_freezes(ledger, "digits") == []
    assert freeze_rollouts(ledger, "digits", **SLO, who="watcher")


def test_both_deeds_are_on_the_audit_chain(ledger: Ledger):
    freeze_rollouts(ledger, "digits", **SLO, who="watcher")
    lift_freeze(ledger, "digits", cause="slo/availability", who="anna", why="the fix has to go out")
    assert [(entry.subject, entry.who) for entry in list_entries(ledger, "digits", 10)] == [
        ("freeze lifted", "anna"),
        ("rollouts frozen", "watcher"),
    ]


def test_many_at_once_freeze_once(ledger: Ledger):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: freeze_rollouts(ledger, "digits", **SLO, who="watcher"), range(8)))
    assert sorted(made) == [False] * 7 + [True]
    assert len(list_entries(ledger, "digits", 10)) == 1


def test_what_does_not_stand_cannot_be_lifted(ledger: Ledger):
    with pytest.raises(ArtifactNotFoundError, match="nothing was lifted"):
        lift_freeze(ledger, "digits", cause="slo/availability", who="anna", why="x")
