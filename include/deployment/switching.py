"""Let a release that answered before answer again, at once: what people do when no judge is to be waited for."""

import time

from include.contracts import ReleasePlan, ReleaseRef
from include.deployment.readiness import list_behind
from include.errors import ArtifactNotFoundError, RolloutFailedError
from include.ledger import Ledger
from include.ledger.plans import find_plan, list_plans, list_replicas
from include.ledger.rollouts import COMPLETED, STARTED, list_rollouts, revert_rollout
from include.ledger.rollouts import switch_release as switch

POLL_SECONDS = 0.2
HISTORY = 1000


def switch_release(project: str, to: str, ledger: Ledger, *, who: str | None, why: str) -> ReleasePlan:
    """Let another release answer everything, also within a freeze window; a rollout under way is taken back.

    :param to: `previous`, the one before, which a rollout under way would replace; `next`, the one that replaced it;
        or the number of a version that proved itself in a rollout.
    :param who: Run or person, for the audit chain.
    :raises ArtifactNotFoundError: there is no such release.
    :raises ContractViolationError: its version was retired.
    """
    plan = find_plan(ledger, project)
    if plan is None:
        raise ArtifactNotFoundError(f"{project} has nothing in service; run {project}.deploy_model first")
    last = next(iter(list_rollouts(ledger, project, limit=1)), None)
    if to == "previous" and last and last.state == STARTED and last.rollout.previous:
        revert_rollout(ledger, last.rollout, [why], who=who, forced=True)
        return find_plan(ledger, project) or plan
    return switch(ledger, project, _find(plan, to, ledger), who=who, why=why)


def await_followers(plan: ReleasePlan, ledger: Ledger, seconds: float) -> None:
    """Wait until every live serving process follows a plan, or a newer one.

    :raises RolloutFailedError: one does not, after so many seconds; the plan stands.
    """
    deadline = time.monotonic() + seconds
    while behind := list_behind(plan, list_replicas(ledger)):
        if time.monotonic() > deadline:
            raise RolloutFailedError(f"{plan.project}: {'; '.join(behind)}, after {seconds:g} s; see `make status`")
        time.sleep(POLL_SECONDS)


def _find(plan: ReleasePlan, to: str, ledger: Ledger) -> ReleaseRef:
    if to == "previous":
        found, missing = plan.previous, "nothing is held that answered before"
    elif to == "next":
        found, missing = _find_next(plan, ledger), "no release that proved itself ever replaced it"
    else:
        found, missing = _find_version(plan, to, ledger), f"no release of version {to} proved itself; deploy it"
    if found is None:
        raise ArtifactNotFoundError(f"{plan.project}: version {plan.champion.model.version} answers, and {missing}")
    return found


def _find_next(plan: ReleasePlan, ledger: Ledger) -> ReleaseRef | None:
    """Return the release that replaced the one that answers now, unless its last rollout did not end well."""
    rollouts = list_rollouts(ledger, plan.project, limit=HISTORY)
    ended = {one.rollout.release.digest: one.state for one in reversed(rollouts)}
    history = (entry.plan for entry in list_plans(ledger, plan.project, limit=HISTORY) if entry.plan)
    replaced = (one.champion for one in history if one.previous == plan.champion)
    return next((release for release in replaced if ended.get(release.digest) == COMPLETED), None)


def _find_version(plan: ReleasePlan, version: str, ledger: Ledger) -> ReleaseRef | None:
    rollouts = list_rollouts(ledger, plan.project, limit=HISTORY)
    proven = (one.rollout.release for one in rollouts if one.state == COMPLETED)
    return next((release for release in proven if str(release.model.version) == version), None)
