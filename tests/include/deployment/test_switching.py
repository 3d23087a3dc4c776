import threading

import pytest

from include.deployment.switching import await_followers, switch_release
from include.errors import ArtifactNotFoundError, RolloutFailedError
from include.ledger.audit import verify_chain
from include.ledger.plans import crown, find_plan
from include.ledger.rollouts import advance_rollout, find_rollout, revert_rollout, start_rollout
from tests.rollouts import serve


@pytest.fixture
def served(ledger, release_of):
    """Versions 1, 2 and 3, each in service once, the last one now."""
    found = {version: release_of(version) for version in (1, 2, 3)}
    for version, release in found.items():
        serve(ledger, release, f"run-{version}")
    return found


@pytest.fixture
def switch(ledger):
    return lambda to, why="calls 3 an 8": switch_release("digits", to, ledger, who="ada", why=why)


def test_back_and_back_and_forward_and_forward(switch, served):
    answering = [switch(to).champion.model.version for to in ("previous", "previous", "next", "next")]
    assert answering == [2, 1, 2, 3]


def test_a_switch_holds_the_right_release_ready_and_is_audited(switch, served, ledger, store):
    plan = switch("previous")
    assert (plan.champion, plan.previous, plan.candidate) == (served[2], served[1], None)
    (entry,) = verify_chain(ledger, "digits", store)[0]
    assert (entry.kind, entry.who, entry.why) == ("override", "ada", "calls 3 an 8")


def test_to_any_version_that_answered_before(switch, served):
    assert switch("1").champion == served[1]
    assert switch("3").champion == served[3]


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("next", "version 3 answers, and no release that proved itself ever replaced it"),
        ("4", "no release of version 4 proved itself"),
        ("7", "no release of version 7 proved itself"),
        ("latest", "no release of version latest proved itself"),
        ("", "no release of version  proved itself"),
    ],
)
def test_what_never_proved_itself_needs_a_rollout(switch, served, release_of, to, reason):
    release_of(4)
    with pytest.raises(ArtifactNotFoundError, match=reason):
        switch(to)


def test_the_first_release_has_none_before_it(switch, ledger, release_of):
    with pytest.raises(ArtifactNotFoundError, match="digits has nothing in service"):
        switch("previous")
    serve(ledger, release_of(1))
    with pytest.raises(ArtifactNotFoundError, match="nothing is held that answered before"):
        switch("previous")
    assert find_plan(ledger, "digits").champion == release_of(1)


@pytest.mark.parametrize("strategy", ["canary", "blue_green"])
def test_previous_takes_a_rollout_under_way_back(switch, served, ledger, store, release_of, strategy):
    rollout = start_rollout(ledger, release_of(4), "run-4", strategy, {})
    plan = switch("previous")
    assert (plan.champion, plan.previous, plan.candidate) == (served[3], served[2], None)
    record = find_rollout(ledger, rollout.id)
    assert (record.state, record.reasons) == ("rolled_back", ("calls 3 an 8",))
    assert verify_chain(ledger, "digits", store)[0][-1].who == "ada"


@pytest.mark.parametrize(("to", "version"), [("next", 4), ("4", 4), ("next", 1)])
def test_what_a_judge_took_back_is_not_returned_to(switch, served, ledger, release_of, to, version):
    rollout = start_rollout(ledger, release_of(version), "run-4", "blue_green", {})
    advance_rollout(ledger, rollout, 0, lambda plan: crown(plan, rollout.release), "all traffic")
    revert_rollout(ledger, rollout, ["errors"], who="judge", forced=True)
    assert find_plan(ledger, "digits").champion == served[3]
    with pytest.raises(ArtifactNotFoundError, match="proved itself"):
        switch(to)


def test_another_version_ends_a_rollout_under_way(switch, served, ledger, release_of):
    rollout = start_rollout(ledger, release_of(4), "run-4", "canary", {})
    assert switch("1").champion == served[1]
    assert find_plan(ledger, "digits").candidate is None
    assert find_rollout(ledger, rollout.id).state == "rolled_back"


def test_a_switch_is_done_once_every_live_process_follows(switch, served, follow, ledger):
    follow("serving-1", "serving-2")
    plan = switch("previous")
    follow("serving-1")
    late = threading.Timer(0.5, follow, ["serving-2"])
    late.start()
    await_followers(plan, ledger, 20)
    late.join()
    newer = switch("previous")
    with pytest.raises(RolloutFailedError, match=r"serving-1 follows revision \d+ of the plan.*serving-2 follows"):
        await_followers(newer, ledger, 0.1)


def test_without_a_process_nobody_follows(switch, served, ledger):
    with pytest.raises(RolloutFailedError, match="no serving process reports"):
        await_followers(switch("previous"), ledger, 0)
