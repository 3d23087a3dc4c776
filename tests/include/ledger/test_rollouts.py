from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.contracts import ReleasePlan, ReleaseRef, RolloutRef, RolloutReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.audit import verify_chain
from include.ledger.plans import find_plan, find_plans
from include.ledger.releases import record_release
from include.ledger.rollouts import (
    advance_rollout,
    complete_rollout,
    crown,
    find_rollout,
    list_rollouts,
    record_report,
    revert_rollout,
    start_rollout,
    switch_release,
)
from include.storage import Store
from tests.rollouts import find_champion, serve

Releases = dict[str, ReleaseRef]


@pytest.fixture
def packaged(ledger: Ledger, make_release: Callable[..., ReleaseRef]) -> Releases:
    found = {name: make_release(name) for name in ("a", "b", "c")}
    for release in found.values():
        record_release(ledger, release)
    return found


@pytest.fixture
def start(ledger: Ledger, packaged: Releases) -> Callable[..., RolloutRef]:
    return lambda name, run, strategy="canary": start_rollout(ledger, packaged[name], run, strategy, {})


def state(ledger: Ledger, rollout: RolloutRef) -> str:
    return find_rollout(ledger, rollout.id).state


def who_answers(ledger: Ledger) -> tuple[ReleaseRef | None, ...]:
    plan = find_plan(ledger, "digits")
    return (plan.champion, plan.candidate, plan.previous) if plan else ()


def open_weight(share: float) -> Callable[[ReleasePlan], ReleasePlan]:
    return lambda plan: plan.model_copy(update={"weight": share})


def test_the_first_release_answers_at_once(ledger: Ledger, packaged: Releases, start):
    first = start("a", "run 1")
    assert who_answers(ledger) == (packaged["a"], None, None)
    assert (first.previous, first.strategy) == (None, "direct")


def test_the_next_release_is_held_beside_the_champion_until_it_is_complete(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second = start("b", "run 2")
    assert who_answers(ledger) == (packaged["a"], packaged["b"], None)
    assert (second.previous, second.strategy) == (packaged["a"].digest, "canary")
    for _ in range(2):
        complete_rollout(ledger, second)
    assert who_answers(ledger) == (packaged["b"], None, packaged["a"])
    assert state(ledger, second) == "completed"


def test_the_same_run_finds_its_rollout_again(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: start("b", "run 2"), range(8)))
    assert {(rollout.id, rollout.previous) for rollout in found} == {(found[0].id, packaged["a"].digest)}
    plan = find_plan(ledger, "digits")
    assert plan
    assert plan.rollout == found[0].id


def test_a_step_is_taken_once(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second = start("b", "run 2")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: advance_rollout(ledger, second, 0, open_weight(0.05), "step 1"), range(8)))
    plan = find_plan(ledger, "digits")
    assert (sum(taken), find_rollout(ledger, second.id).step, plan and plan.weight) == (1, 1, 0.05)


def test_a_rollout_taken_back_takes_no_further_step(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second = start("b", "run 2")
    advance_rollout(ledger, second, 0, open_weight(0.05), "step 1")
    for _ in range(2):
        revert_rollout(ledger, second, ["wrong answers"])
    assert not advance_rollout(ledger, second, 1, open_weight(0.25), "step 2")
    complete_rollout(ledger, second)
    plan = find_plan(ledger, "digits")
    assert plan
    assert (plan.champion, plan.candidate, plan.weight) == (packaged["a"], None, 0)
    found = find_rollout(ledger, second.id)
    assert (found.state, found.reasons, found.ended_at is None) == ("rolled_back", ("wrong answers",), False)


def test_a_late_verdict_leaves_a_completed_rollout_alone(ledger: Ledger, packaged: Releases):
    serve(ledger, packaged["a"])
    second = serve(ledger, packaged["b"], "run 2")
    revert_rollout(ledger, second, ["slow"], who="judge", forced=True, under_way=True)
    assert (state(ledger, second), find_champion(ledger)) == ("completed", packaged["b"])


def test_a_switched_set_is_switched_back(ledger: Ledger, packaged: Releases, start):
    for run, name in enumerate("ab"):
        serve(ledger, packaged[name], f"run {run}")
    third = start("c", "run 3", "blue_green")
    advance_rollout(ledger, third, 0, lambda plan: crown(plan, packaged["c"]), "switch")
    assert who_answers(ledger) == (packaged["c"], None, packaged["b"])
    revert_rollout(ledger, third, ["slow"])
    assert who_answers(ledger) == (packaged["b"], None, packaged["a"])


def test_reverting_the_first_release_leaves_none(ledger: Ledger, start):
    revert_rollout(ledger, start("a", "run 1"), ["wrong answers"])
    assert find_plan(ledger, "digits") is None
    again = start("a", "run 1")
    assert (state(ledger, again), len(who_answers(ledger))) == ("started", 3)


def test_a_run_cleared_after_its_rollout_was_reverted_tries_again(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second = start("b", "run 2")
    revert_rollout(ledger, second, ["the serving process was down"])
    again = start("b", "run 2")
    assert (again.id, find_rollout(ledger, again.id).reasons) == (second.id, ())
    complete_rollout(ledger, again)
    assert find_champion(ledger) == packaged["b"]


def test_a_newer_rollout_ends_the_one_under_way(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second, third = start("b", "run 2"), start("c", "run 3")
    assert (state(ledger, second), who_answers(ledger)) == ("rolled_back", (packaged["a"], packaged["c"], None))
    revert_rollout(ledger, second, ["too slow"])
    assert who_answers(ledger) == (packaged["a"], packaged["c"], None)
    assert third.previous == packaged["a"].digest


def test_a_completed_rollout_is_taken_back_beside_a_newer_one(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second = serve(ledger, packaged["b"], "run 2")
    start("c", "run 3")
    revert_rollout(ledger, second, ["wrong answers"], who="run 2", forced=True)
    assert who_answers(ledger) == (packaged["a"], packaged["c"], None)


def test_a_release_that_must_not_return_is_not_held_ready(ledger: Ledger, packaged: Releases):
    serve(ledger, packaged["a"])
    second = serve(ledger, packaged["b"], "run 2")
    serve(ledger, packaged["c"], "run 3")
    revert_rollout(ledger, second, ["wrong answers"])
    assert who_answers(ledger) == (packaged["c"], None, None)


def test_a_late_revert_leaves_the_same_release_rolled_out_again(ledger: Ledger, packaged: Releases):
    serve(ledger, packaged["a"])
    second = serve(ledger, packaged["b"], "run 2")
    serve(ledger, packaged["b"], "run 3")
    revert_rollout(ledger, second, ["cold start"])
    assert find_champion(ledger) == packaged["b"]


def test_the_champion_rolled_out_again_keeps_what_is_held_ready(ledger: Ledger, packaged: Releases, start):
    for run, name in enumerate("ab"):
        serve(ledger, packaged[name], f"run {run}")
    again = start("b", "run 3")
    assert (again.previous, who_answers(ledger)) == (packaged["a"].digest, (packaged["b"], None, packaged["a"]))
    complete_rollout(ledger, again)
    assert who_answers(ledger) == (packaged["b"], None, packaged["a"])


def test_people_switch_back_and_forth_at_once(ledger: Ledger, packaged: Releases, start, store: Store):
    for run, name in enumerate("ab"):
        serve(ledger, packaged[name], f"run {run}")
    third = start("c", "run 3")
    switch_release(ledger, "digits", packaged["a"], who="ada", why="complaints")
    assert (who_answers(ledger), state(ledger, third)) == ((packaged["a"], None, None), "rolled_back")
    switch_release(ledger, "digits", packaged["b"], who="ada", why="it was the camera")
    assert who_answers(ledger) == (packaged["b"], None, packaged["a"])
    deeds = [(entry.kind, entry.who, entry.why) for entry in verify_chain(ledger, "digits", store)[0]]
    assert deeds == [("override", "ada", "complaints"), ("override", "ada", "it was the camera")]


def test_nothing_is_switched_where_nothing_serves(ledger: Ledger, packaged: Releases):
    with pytest.raises(ContractViolationError, match="nothing in service"):
        switch_release(ledger, "digits", packaged["a"], who="ada", why="hope")


def test_projects_are_served_side_by_side(ledger: Ledger, make_release: Callable[..., ReleaseRef]):
    wanted = {project: make_release(project, project) for project in ("digits", "parts")}
    for release in wanted.values():
        record_release(ledger, release)
        serve(ledger, release)
    assert {project: plan.champion for project, plan in find_plans(ledger).items()} == wanted


def test_the_newest_report_is_kept_while_the_rollout_lasts(ledger: Ledger, packaged: Releases, start):
    serve(ledger, packaged["a"])
    second = start("b", "run 2")
    report = RolloutReport(rollout=second, verdict="continue", reasons=("30 of 50 requests",), requests=30)
    record_report(ledger, report)
    complete_rollout(ledger, second)
    record_report(ledger, report.model_copy(update={"verdict": "roll_back"}))
    newest, first = list_rollouts(ledger, "digits")
    assert (newest.report, newest.state, first.report) == (report, "completed", None)
    with pytest.raises(ArtifactNotFoundError, match="no rollout 99"):
        find_rollout(ledger, 99)
