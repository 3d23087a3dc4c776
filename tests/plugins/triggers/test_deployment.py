import asyncio
import time
from datetime import UTC, datetime

import pytest

from include.contracts import ReplicaReport, RolloutReport
from include.errors import ServiceUnavailableError
from include.ledger.plans import find_plan, record_replica
from include.ledger.releases import record_release
from include.ledger.rollouts import find_rollout, start_rollout
from include.project import DeploymentPolicy
from tests.plugins.samples import PROMOTED, RELEASE, ROLLOUT, digest
from tests.plugins.triggers.firing import fire, restore
from tests.rollouts import serve
from windhover.triggers.deployment import RolloutTrigger

POLICY = DeploymentPolicy().model_dump(mode="json")
WORSE = RELEASE.model_copy(update={"digest": digest("2"), "address": "digits/releases/2"})


def watch(rollout=ROLLOUT):
    return RolloutTrigger(rollout.model_dump(mode="json"), 0.01)


def test_looks_until_there_is_a_verdict_and_reads_the_evidence_on(stages, machine):
    answers = [None, None, PROMOTED]
    opened = stages.replace("include.deployment.rollout.open_evidence", "reader")
    looks = stages.replace("include.deployment.rollout.watch_rollout", lambda *_: answers.pop(0))
    assert RolloutReport.model_validate(fire(watch())) == PROMOTED
    assert (len(opened), len(looks)) == (1, 3)
    assert {(look["rollout"], look["reader"]) for look in looks} == {(ROLLOUT, "reader")}


def test_a_ledger_that_is_away_for_a_while_ends_no_rollout(stages, machine):
    answers = [ServiceUnavailableError("PostgreSQL does not answer"), None, PROMOTED]

    def look(*_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    stages.replace("include.deployment.rollout.open_evidence", "reader")
    stages.replace("include.deployment.rollout.watch_rollout", look)
    assert RolloutReport.model_validate(fire(watch())) == PROMOTED


def test_a_ledger_that_is_away_at_the_start_is_waited_for(machine):
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(anext(watch().run()), 0.5))


def test_a_fault_of_ours_ends_the_watch_loudly(stages, machine):
    stages.replace("include.deployment.rollout.open_evidence", "reader")
    stages.replace("include.deployment.rollout.watch_rollout", ZeroDivisionError("a fault"))
    with pytest.raises(ZeroDivisionError):
        fire(watch())


def report_replica(ledger, revision, rejected):
    record_replica(ledger, ReplicaReport(
        name="serving-1", address="unix:1", started_at=datetime.now(UTC), revisions={"digits": revision}, held={},
        rejected={"digits": rejected}, source="ledger",
    ))  # fmt: skip


@pytest.fixture
def refused(ledger_connection):
    """A rollout that a serving process refuses, with a champion to return to."""
    for release in (RELEASE, WORSE):
        record_release(ledger_connection, release)
    serve(ledger_connection, RELEASE, "first")
    rollout = start_rollout(ledger_connection, WORSE, "second", "canary", POLICY)
    revision = find_plan(ledger_connection, "digits").revision
    report_replica(ledger_connection, revision - 1, {WORSE.digest: "golden image 3 differs"})
    return rollout


def test_harm_is_undone_before_the_trigger_fires(refused, ledger_connection):
    async def first():
        async for event in restore(watch(refused)).run():
            # Before any task of the run has started again.
            plan = find_plan(ledger_connection, "digits")
            assert (plan.champion, plan.candidate, plan.weight) == (RELEASE, None, 0)
            return event
        return None

    report = RolloutReport.model_validate(asyncio.run(asyncio.wait_for(first(), 30)).payload)
    assert report.verdict == "roll_back"
    assert "golden image 3 differs" in report.reasons[0]
    assert find_rollout(ledger_connection, refused.id).state == "rolled_back"


def test_a_rollout_that_somebody_else_has_ended_is_told_and_not_judged_again(refused, ledger_connection):
    serve(ledger_connection, RELEASE, "third")
    begun = time.monotonic()
    report = RolloutReport.model_validate(fire(watch(refused)))
    assert report.verdict == "roll_back"
    assert "superseded" in report.reasons[0]
    assert time.monotonic() - begun < 5
