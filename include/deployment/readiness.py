"""Whether the serving processes hold what the plan names: the first thing that is asked of a release."""

from collections.abc import Sequence

from include.contracts import MetricReport, ReleasePlan, ReleaseRef, ReplicaReport, RolloutRef, RolloutReport
from include.project import DeploymentPolicy

# What a process says may be of an earlier attempt, until it has seen this one, tried again and said so.
REJECTION_SECONDS = 3.0


def list_behind(plan: ReleasePlan, replicas: Sequence[ReplicaReport]) -> tuple[str, ...]:
    """Say of each serving process that does not follow a plan, or a newer one, why not; nothing when all do.

    Without any process, that is what is said.
    """
    if not replicas:
        return ("no serving process reports to the ledger; see `make status`",)
    return tuple(f"{replica.name} {why}" for replica in replicas if (why := _explain_lag(plan, replica)))


def judge_readiness(
    rollout: RolloutRef,
    policy: DeploymentPolicy,
    plan: ReleasePlan,
    replicas: Sequence[ReplicaReport],
    elapsed_seconds: float,
) -> RolloutReport:
    """Tell whether every live serving process holds a release, in the first step of its rollout.

    :return: `promote` once all do, `roll_back` if one could not load it or the time is up, `continue` until then.
    """
    behind = list_behind(plan, replicas)
    refused = elapsed_seconds >= REJECTION_SECONDS and any(_list_rejections(plan, replica) for replica in replicas)
    harm = bool(behind) and (refused or elapsed_seconds >= policy.ready_seconds)
    ready = len(replicas) - len(behind) if replicas else 0
    seen = f"{ready} of {len(replicas)} serving processes hold version {rollout.release.model.version}"
    metric = MetricReport(
        metric="readiness",
        verdict="harm" if harm else "undecided" if behind else "safe",
        evidence=float(harm),
        limit=1.0,
        seen=seen,
    )
    waited = f"after {elapsed_seconds:.0f} s, "
    return RolloutReport(
        rollout=rollout,
        verdict="roll_back" if harm else "continue" if behind else "promote",
        metrics=(metric,),
        reasons=tuple(f"{waited if harm else ''}{line}" for line in behind) or (seen,),
    )


def _explain_lag(plan: ReleasePlan, replica: ReplicaReport) -> str:
    rejections = _list_rejections(plan, replica)
    if rejections:
        return "; ".join(rejections)
    follows = replica.revisions.get(plan.project, 0)
    if follows < plan.revision:
        return f"follows {f'revision {follows}' if follows else 'no revision'} of the plan, not {plan.revision}"
    missing = {release.digest for release in _list_needed(plan)}.difference(replica.held.get(plan.project, ()))
    return f"does not hold {', '.join(sorted(missing))}" if missing and follows == plan.revision else ""


def _list_rejections(plan: ReleasePlan, replica: ReplicaReport) -> list[str]:
    rejected = replica.rejected.get(plan.project, {})
    return [f"rejects {one.digest}: {rejected[one.digest]}" for one in _list_needed(plan) if one.digest in rejected]


def _list_needed(plan: ReleasePlan) -> tuple[ReleaseRef, ...]:
    """Return the releases without which a plan is not followed; the one before may be missing."""
    return (plan.champion, plan.candidate) if plan.candidate else (plan.champion,)
