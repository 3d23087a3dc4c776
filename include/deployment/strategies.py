"""What each strategy asks of the release plan, step by step.

Step 0 of every rollout is the same: the serving processes load the release, and it answers nobody.
"""

from collections.abc import Callable

from include.contracts import ReleasePlan, ReleaseRef, RolloutRef, Strategy
from include.ledger.plans import crown
from include.project import DeploymentPolicy

Change = Callable[[ReleasePlan], ReleasePlan]


def count_steps(strategy: Strategy, policy: DeploymentPolicy) -> int:
    """Return how many steps follow the loading; after `direct`'s none, the release is complete at once."""
    steps = {"direct": 0, "canary": len(policy.canary_steps)}
    return steps.get(strategy, 1)


def make_change(rollout: RolloutRef, policy: DeploymentPolicy, step: int) -> Change:
    """Return what turns the newest plan into the one that a step, from 1, asks for."""
    release = rollout.release
    if rollout.strategy == "blue_green":
        return lambda plan: crown(plan, release).model_copy(update={"shadow": policy.shadow})
    asked = {
        "canary": {"weight": policy.canary_steps[min(step, len(policy.canary_steps)) - 1], "shadow": policy.shadow},
        "shadow": {"weight": 0.0, "shadow": policy.shadow},
        "ab_test": {"weight": policy.ab_share, "shadow": policy.shadow, "sticky": True},
    }[rollout.strategy]
    return lambda plan: plan.model_copy(update={"candidate": release, **asked})


def find_share(plan: ReleasePlan, release: ReleaseRef) -> float:
    """Return the share of requests that a plan gives to a release under judgement."""
    if plan.champion.digest == release.digest:
        return 1.0
    return plan.weight if plan.candidate and plan.candidate.digest == release.digest else 0.0


def is_passed(strategy: Strategy, policy: DeploymentPolicy, answered: int) -> bool:
    """Tell whether a step has seen what it is for; only a canary's steps are for a number of requests.

    :param answered: Requests of this step that were the candidate's.
    """
    return strategy != "canary" or answered >= policy.step_requests


def describe_step(rollout: RolloutRef, policy: DeploymentPolicy, step: int) -> str:
    """Say why the plan changes when a rollout reaches a step, for the history of plans."""
    share = f"{policy.canary_steps[min(step, len(policy.canary_steps)) - 1]:.0%} of requests"
    doing = {
        "canary": f"{share} to version {rollout.release.model.version}",
        "blue_green": f"switch to version {rollout.release.model.version}",
        "shadow": f"version {rollout.release.model.version} answers beside, unseen",
        "ab_test": f"{policy.ab_share:.0%} of keys to version {rollout.release.model.version}",
    }
    return f"rollout {rollout.id}, step {step}: {doing[rollout.strategy]}"
