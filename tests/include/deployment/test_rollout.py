"""Whole rollouts on a real ledger and a real prediction log; processes and their answers are written by the tests."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.contracts import StrategyDecision
from include.deployment.rollout import complete_rollout, open_evidence, roll_back, start, watch_rollout
from include.errors import RolloutFailedError, ServiceUnavailableError
from include.ledger import Ledger
from include.ledger.audit import verify_chain
from include.ledger.freezes import freeze_rollouts, lift_freeze
from include.ledger.plans import find_plan, list_plans
from include.ledger.rollouts import find_rollout
from include.ledger.tables import rollouts
from include.project import DeploymentPolicy, FreezeWindow
from include.settings import REPOSITORY

JUDGE = {"max_error_rate": 0.3, "max_disagreement": 0.3}
POLICY = DeploymentPolicy(canary_steps=(0.25, 0.5), step_requests=5, comparisons=40, judge=JUDGE, ready_seconds=30)
ALWAYS = FreezeWindow(start="00:00", end="00:00", reason="year's end")


@pytest.fixture
def begin(project, ledger, store):
    """Start a rollout of a release."""

    def make(release, strategy="canary", run="run-1", policy=POLICY, **options):
        decision = StrategyDecision(strategy=strategy, recommended=strategy, reasons=("so",))
        configured = project.model_copy(update={"deployment": policy})
        return start(release, decision, configured, ledger, store, run, **options)

    return make


@pytest.fixture
def look(ledger, store):
    """Look at a rollout as a watcher that was just started: everything it knows is in the ledger and the log."""
    return lambda rollout: watch_rollout(rollout, ledger, store, open_evidence(rollout, ledger, store))


@pytest.fixture
def serving(begin, look, follow, ledger, release_of):
    """The first release, in service."""
    rollout = begin(release_of(1), run="run-0")
    follow()
    assert look(rollout).verdict == "promote"
    complete_rollout(rollout, ledger)
    follow()
    return rollout.release


@pytest.fixture
def canary(begin, look, follow, ledger, release_of, serving):
    """A canary that is loaded, and has its first share of the traffic."""
    rollout = begin(release_of(2))
    follow()
    assert look(rollout) is None
    assert (find_rollout(ledger, rollout.id).step, find_plan(ledger, "digits").weight) == (1, 0.25)
    return rollout


def told(ledger, rollout):
    record = find_rollout(ledger, rollout.id)
    return record.state, record.step


def age(ledger, rollout, minutes):
    """Let a rollout have begun earlier, with its plans."""
    with ledger.begin() as connection:
        began = datetime.now(UTC) - timedelta(minutes=minutes)
        connection.execute(sa.update(rollouts).where(rollouts.c.id == rollout.id).values(recorded_at=began))


def audited(ledger, store):
    overrides = [entry for entry in verify_chain(ledger, "digits", store)[0] if entry.kind == "override"]
    return [(entry.who, entry.why, entry.payload["rollout"]) for entry in overrides]


def test_the_first_release_is_direct_and_judged_on_readiness_alone(begin, look, follow, ledger, release_of):
    rollout = begin(release_of(1), "canary")
    assert rollout.strategy == "direct"
    assert look(rollout) is None
    follow()
    report = look(rollout)
    assert (report.verdict, [metric.metric for metric in report.metrics]) == ("promote", ["readiness"])


def test_a_canary_goes_from_step_to_step_and_is_completed(canary, look, answer, follow, serving, ledger):
    assert look(canary) is None
    assert told(ledger, canary) == ("started", 1)
    answer(candidate=4, champion=12)
    assert look(canary) is None
    assert told(ledger, canary) == ("started", 1)
    answer(candidate=1, champion=3)
    assert look(canary) is None
    assert told(ledger, canary) == ("started", 2)
    assert find_plan(ledger, "digits").weight == 0.5
    answer(candidate=4, champion=4, compared=60)
    assert look(canary) is None
    answer(candidate=4, champion=4)
    report = look(canary)
    assert report.verdict == "promote"
    assert find_plan(ledger, "digits").champion == serving
    complete_rollout(canary, ledger)
    plan = find_plan(ledger, "digits")
    assert (plan.champion, plan.previous, plan.candidate, plan.weight) == (canary.release, serving, None, 0.0)
    assert look(canary).verdict == "promote"
    assert [entry.why for entry in list_plans(ledger, "digits", 4)] == [
        f"rollout {canary.id} is complete",
        f"rollout {canary.id}, step 2: 50% of requests to version 2",
        f"rollout {canary.id}, step 1: 25% of requests to version 2",
        f"rollout {canary.id} of version 2 begins: canary",
    ]


def test_harm_takes_the_traffic_away_within_the_look_that_finds_it(canary, look, answer, serving, ledger, store):
    answer(candidate=12, champion=30, failed="NaN")
    report = look(canary)
    assert (report.verdict, find_plan(ledger, "digits").champion) == ("roll_back", serving)
    assert find_plan(ledger, "digits").candidate is None
    assert "errors harm" in report.reasons[0]
    assert told(ledger, canary)[0] == "rolled_back"
    assert audited(ledger, store) == [("judge", "; ".join(report.reasons), canary.id)]
    again = look(canary)
    assert (again.verdict, again.reasons) == ("roll_back", report.reasons)
    roll_back(canary, ["the task comes late"], ledger, who="run-1", forced=True)
    assert len(audited(ledger, store)) == 1


@pytest.mark.parametrize("strategy", ["canary", "shadow", "ab_test", "blue_green"])
def test_without_evidence_it_goes_back_at_the_deadline_and_not_before(
    strategy, begin, look, follow, serving, ledger, release_of
):
    rollout = begin(release_of(2), strategy)
    follow()
    assert look(rollout) is None
    age(ledger, rollout, 59)
    assert look(rollout) is None
    age(ledger, rollout, 61)
    report = look(rollout)
    assert report.verdict == "not_enough_evidence"
    plan = find_plan(ledger, "digits")
    assert (plan.champion, plan.candidate) == (serving, None)


def test_blue_green_answers_everything_while_it_is_judged_and_goes_back_in_one_revision(
    begin, look, follow, answer, serving, ledger, release_of
):
    rollout = begin(release_of(2), "blue_green")
    follow()
    assert look(rollout) is None
    plan = find_plan(ledger, "digits")
    assert (plan.champion, plan.previous, plan.shadow) == (rollout.release, serving, 1.0)
    answer(champion=10, compared=60, says="2")
    report = look(rollout)
    assert report.verdict == "roll_back"
    assert "agreement harm" in report.reasons[0]
    after = find_plan(ledger, "digits")
    assert (after.champion, after.revision) == (serving, plan.revision + 1)


@pytest.mark.parametrize("strategy", ["blue_green", "shadow"])
def test_a_release_that_compares_well_is_completed(strategy, begin, look, follow, answer, serving, ledger, release_of):
    rollout = begin(release_of(2), strategy)
    follow()
    assert look(rollout) is None
    answer(champion=30, compared=60)
    assert look(rollout).verdict == "promote"
    complete_rollout(rollout, ledger)
    plan = find_plan(ledger, "digits")
    assert (plan.champion, plan.previous, plan.shadow) == (rollout.release, serving, 0.0)


def test_direct_is_complete_once_every_process_holds_the_release(begin, look, follow, serving, ledger, release_of):
    rollout = begin(release_of(2), "direct")
    assert look(rollout) is None
    follow("serving-1")
    assert look(rollout) is None
    follow()
    assert look(rollout).verdict == "promote"


def test_a_release_that_cannot_be_loaded_is_taken_back(begin, look, follow, serving, ledger, release_of):
    rollout = begin(release_of(2))
    follow("serving-2", behind=1, rejected={rollout.release.digest: "golden image 3 is off"})
    follow("serving-1")
    assert look(rollout) is None
    age(ledger, rollout, 0.1)
    report = look(rollout)
    assert (report.verdict, find_plan(ledger, "digits").candidate) == ("roll_back", None)
    assert "serving-2 rejects" in report.reasons[0]


def test_what_was_answered_before_a_rollout_was_begun_anew_does_not_count(
    begin, look, follow, answer, serving, ledger, release_of
):
    first = begin(release_of(2))
    follow()
    look(first)
    answer(candidate=12, champion=30, failed="NaN")
    assert look(first).verdict == "roll_back"
    second = begin(release_of(2))
    assert second.id == first.id
    follow()
    assert look(second) is None
    assert look(second) is None
    assert told(ledger, second) == ("started", 1)


def test_a_newer_rollout_ends_an_older_one_for_its_watchers(canary, begin, look, ledger, release_of):
    newer = begin(release_of(3), run="run-2")
    report = look(canary)
    assert (report.verdict, report.reasons) == ("roll_back", ("superseded by a newer rollout",))
    assert find_plan(ledger, "digits").candidate == newer.release


def test_many_watchers_at_once_take_each_step_once(canary, look, answer, ledger, store):
    answer(candidate=5, champion=15)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: look(canary), range(8))) == {None}
    assert told(ledger, canary) == ("started", 2)
    revision = find_plan(ledger, "digits").revision
    answer(candidate=30, champion=30, failed="NaN")
    with ThreadPoolExecutor(8) as pool:
        assert {report.verdict for report in pool.map(lambda _: look(canary), range(8))} == {"roll_back"}
    assert find_plan(ledger, "digits").revision == revision + 1
    assert len(audited(ledger, store)) == 1


WATCHER = """
import sys, time
from include.contracts import RolloutRef
from include.deployment.rollout import open_evidence, watch_rollout
from include.ledger import Ledger
from include.storage import Store
rollout, ledger, store = RolloutRef.model_validate_json(sys.argv[1]), Ledger(sys.argv[2]), Store(sys.argv[3])
reader = open_evidence(rollout, ledger, store)
while True:
    report = watch_rollout(rollout, ledger, store, reader)
    print(report and report.verdict, flush=True)
    time.sleep(0.05)
"""


def test_a_watcher_that_is_killed_midway_loses_nothing(canary, look, answer, follow, ledger, ledger_uri, store):
    arguments = [canary.model_dump_json(), ledger_uri, store.root]
    answer(candidate=5, champion=15)
    with subprocess.Popen(
        [sys.executable, "-c", WATCHER, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as watcher:
        while told(ledger, canary) != ("started", 2):
            assert watcher.stdout.readline() == b"None\n"
        os.kill(watcher.pid, signal.SIGKILL)
    answer(candidate=3, champion=3, compared=60)
    assert look(canary) is None
    answer(candidate=8, champion=8)
    assert look(canary).verdict == "promote"


def test_a_ledger_that_is_away_is_no_verdict(canary, look, ledger, store):
    reader = open_evidence(canary, ledger, store)
    with pytest.raises(ServiceUnavailableError):
        watch_rollout(canary, Ledger("postgresql://127.0.0.1:9/windhover"), store, reader)
    assert look(canary) is None
    assert told(ledger, canary) == ("started", 1)


def test_no_rollout_begins_in_a_freeze_but_one_under_way_goes_on(begin, look, follow, canary, ledger, release_of):
    frozen = POLICY.model_copy(update={"freeze": (ALWAYS,)})
    with pytest.raises(RolloutFailedError, match="year's end"):
        begin(release_of(3), run="run-2", policy=frozen)
    assert begin(release_of(2), policy=frozen) == canary
    assert told(ledger, canary) == ("started", 1)


def test_an_exhausted_error_budget_holds_rollouts_back_until_it_is_lifted(begin, serving, ledger, release_of):
    freeze_rollouts(ledger, "digits", cause="slo/availability", reason="the error budget is used up", who="watcher")
    with pytest.raises(RolloutFailedError, match="the error budget is used up"):
        begin(release_of(3), run="run-2")
    lift_freeze(ledger, "digits", cause="slo/availability", who="anna", why="the fix")
    assert begin(release_of(3), run="run-2").release == release_of(3)


def test_what_serves_already_gets_no_second_rollout(begin, look, serving, ledger):
    before = find_plan(ledger, "digits")
    again = begin(serving, run="run-9")
    assert find_plan(ledger, "digits") == before
    assert look(again).verdict == "promote"
    complete_rollout(again, ledger)
    assert find_plan(ledger, "digits") == before


def test_importing_it_is_cheap():
    probe = "import json, sys, include.deployment.rollout; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy = {"torch", "onnx", "onnxruntime", "sqlalchemy", "pyarrow", "scipy", "numpy", "jinja2", "httpx", "mlflow"}
    assert heavy.isdisjoint(json.loads(loaded.stdout))
