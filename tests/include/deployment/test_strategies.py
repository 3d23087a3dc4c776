import pytest
from pydantic import ValidationError

from include.contracts import ReleasePlan, RolloutRef
from include.deployment.strategies import count_steps, describe_step, find_share, is_passed, make_change
from include.project import DeploymentPolicy

POLICY = DeploymentPolicy(canary_steps=(0.1, 0.5), step_requests=20, shadow=0.3, ab_share=0.4)


@pytest.fixture
def plan(release_of):
    return ReleasePlan(project="digits", revision=7, champion=release_of(1), candidate=release_of(2), rollout=3)


@pytest.fixture
def change(plan, release_of):
    def apply(strategy, step, policy=POLICY):
        rollout = RolloutRef(id=3, release=release_of(2), previous=plan.champion.digest, strategy=strategy)
        return make_change(rollout, policy, step)(plan)

    return apply


@pytest.mark.parametrize(
    ("strategy", "steps"), [("direct", 0), ("blue_green", 1), ("canary", 2), ("shadow", 1), ("ab_test", 1)]
)
def test_how_many_steps_a_strategy_has(strategy, steps):
    assert count_steps(strategy, POLICY) == steps


@pytest.mark.parametrize(
    ("strategy", "step", "weight", "shadow", "sticky"),
    [
        ("canary", 1, 0.1, 0.3, False),
        ("canary", 2, 0.5, 0.3, False),
        ("shadow", 1, 0.0, 0.3, False),
        ("ab_test", 1, 0.4, 0.3, True),
    ],
)
def test_a_step_gives_the_candidate_its_share_and_leaves_the_champion(
    plan, change, strategy, step, weight, shadow, sticky
):
    asked = change(strategy, step)
    assert (asked.weight, asked.shadow, asked.sticky) == (weight, shadow, sticky)
    assert (asked.champion, asked.candidate, asked.rollout) == (plan.champion, plan.candidate, 3)
    assert find_share(asked, plan.candidate) == weight


def test_blue_green_switches_everything_and_holds_the_champion_ready(plan, change):
    asked = change("blue_green", 1)
    assert (asked.champion, asked.previous, asked.candidate) == (plan.candidate, plan.champion, None)
    assert (asked.weight, asked.shadow) == (0.0, 0.3)
    assert find_share(asked, plan.candidate) == 1.0
    assert find_share(asked, plan.champion) == 0.0


def test_a_policy_without_comparisons_would_never_promote_and_is_refused():
    with pytest.raises(ValidationError, match="greater than 0"):
        DeploymentPolicy(shadow=0)


@pytest.mark.parametrize(
    ("strategy", "answered", "passed"), [("canary", 19, False), ("canary", 20, True), ("shadow", 0, True)]
)
def test_only_a_canarys_steps_wait_for_requests(strategy, answered, passed):
    assert is_passed(strategy, POLICY, answered) is passed


def test_the_history_says_what_a_step_does(release_of):
    rollout = RolloutRef(id=3, release=release_of(2), strategy="canary")
    assert describe_step(rollout, POLICY, 2) == "rollout 3, step 2: 50% of requests to version 2"
