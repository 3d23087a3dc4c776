"""Put a release into service step by step, each step judged, and take it back.

What a rollout has come to is in the ledger, and what speaks for and against it in the prediction log. Whoever watches
keeps nothing that the next watcher could miss.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.contracts import ReleasePlan, ReleaseRef, RolloutRef, RolloutReport, StrategyDecision
from include.deployment.targets import Target, open_target
from include.errors import RolloutFailedError
from include.project import DeploymentPolicy, Project
from include.settings import load_settings

# The triggerer imports this module: what needs the ledger's database layer, pyarrow or scipy is imported in functions.
if TYPE_CHECKING:
    from include.deployment.evidence import EvidenceReader
    from include.ledger import Ledger
    from include.ledger.rollouts import RolloutRecord
    from include.storage import Store

JUDGE = "judge"
# Beyond what the sealed test split showed: traffic is never quite like it.
MARGIN = 0.05


def start(
    release: ReleaseRef,
    decision: StrategyDecision,
    project: Project,
    ledger: "Ledger",
    store: "Store",
    run: str,
    target: Target | None = None,
) -> RolloutRef:
    """Let the serving processes load a release; the same run finds its rollout again.

    A project's first release goes into service directly, whatever was decided. One that serves already needs no second
    rollout, which would forget what to return to: its completed one is returned.

    :param run: Name of this attempt.
    :raises RolloutFailedError: a freeze window is open, or an exhausted error budget has frozen rollouts.
    :raises ContractViolationError: the release's version was retired.
    """
    from include.deployment.freeze import require_open
    from include.ledger.freezes import list_freezes
    from include.ledger.plans import find_plan
    from include.ledger.rollouts import COMPLETED, STARTED, list_rollouts, start_rollout

    plan = find_plan(ledger, project.name)
    mine = [one for one in list_rollouts(ledger, project.name) if one.rollout.release.digest == release.digest]
    if mine and mine[0].state == COMPLETED and plan and plan.champion.digest == release.digest:
        return mine[0].rollout
    if not mine or mine[0].state != STARTED:
        require_open(project.deployment, datetime.now(UTC), list_freezes(ledger, project.name))
    (target or _open_target(ledger)).prepare(release)
    policy = _settle_policy(release, plan, project, ledger, store)
    return start_rollout(ledger, release, run, decision.strategy, policy.model_dump(mode="json"))


def open_evidence(rollout: RolloutRef, ledger: "Ledger", store: "Store") -> "EvidenceReader":
    """Open what the prediction log says of a rollout; a watcher keeps it from look to look."""
    from include.deployment.evidence import EvidenceReader
    from include.ledger.rollouts import find_rollout

    project = rollout.release.model.model.project
    return EvidenceReader(store, project, rollout, find_rollout(ledger, rollout.id).started_at)


def watch_rollout(
    rollout: RolloutRef, ledger: "Ledger", store: "Store", reader: "EvidenceReader"
) -> RolloutReport | None:
    """Look at a rollout once: judge it, and go on to the next step or take it back; None as long as it goes on.

    Called about once a second. Any number of watchers may look at once, and any of them may die at any moment.

    :return: `promote`: it is ready for `complete_rollout`. Anything else: it is over, and what answered before answers.
    :raises ServiceUnavailableError: the ledger or the store does not answer; look again later.
    """
    from include.deployment.strategies import count_steps
    from include.ledger.rollouts import STARTED, find_rollout, record_report, revert_rollout

    record = find_rollout(ledger, rollout.id)
    if record.state != STARTED:
        return _tell_end(record)
    policy = DeploymentPolicy.model_validate(record.policy)
    report, passed = (
        _judge_step(record, policy, ledger, reader) if record.step else _judge_loading(record, policy, ledger)
    )
    last = record.step >= count_steps(record.rollout.strategy, policy)
    if report.verdict == "promote" and not last:
        report = report.model_copy(update={"verdict": "continue"})
    record_report(ledger, report)
    if report.verdict == "continue":
        if passed and not last:
            _go_on(record, policy, ledger)
        return None
    if report.verdict != "promote":
        revert_rollout(ledger, record.rollout, list(report.reasons), who=JUDGE, forced=True, under_way=True)
    return report


def complete_rollout(rollout: RolloutRef, ledger: "Ledger", target: Target | None = None) -> None:
    """Make a release that proved itself the champion; completing again changes nothing."""
    from include.ledger.rollouts import complete_rollout

    complete_rollout(ledger, rollout)
    (target or _open_target(ledger)).finish(rollout.release)


def roll_back(
    rollout: RolloutRef,
    reasons: Sequence[str],
    ledger: "Ledger",
    *,
    who: str | None = None,
    forced: bool = False,
    target: Target | None = None,
) -> None:
    """Return to what answered before a rollout; once it was taken back, nothing changes.

    :param who: Run or person, for the audit chain.
    :param forced: Whether it is on the audit chain although the rollout had not proved itself yet.
    """
    from include.ledger.rollouts import revert_rollout

    revert_rollout(ledger, rollout, list(reasons), who=who, forced=forced)
    (target or _open_target(ledger)).abandon(rollout.release)


def _open_target(ledger: "Ledger") -> Target:
    """Open the target of this machine's settings, with the ledger that is at hand here."""
    return open_target(load_settings(), ledger.url.render_as_string(hide_password=False))


def _settle_policy(
    release: ReleaseRef, plan: ReleasePlan | None, project: Project, ledger: "Ledger", store: "Store"
) -> DeploymentPolicy:
    """Return the policy that holds until the rollout ends, with the disagreement that is to be expected."""
    from include.deployment.agreement import expect_disagreement

    policy = project.deployment
    if plan is None or policy.judge.max_disagreement is not None:
        return policy
    expected = expect_disagreement(release, plan.champion, ledger, store)
    limit = None if expected is None else min(1.0, expected + MARGIN)
    return policy.model_copy(update={"judge": policy.judge.model_copy(update={"max_disagreement": limit})})


def _judge_loading(record: "RolloutRecord", policy: DeploymentPolicy, ledger: "Ledger") -> tuple[RolloutReport, bool]:
    """Judge step 0; also tell whether it is over."""
    from include.deployment.readiness import judge_readiness
    from include.ledger.plans import find_plan, list_replicas

    plan = find_plan(ledger, record.rollout.release.model.model.project)
    if plan is None:
        raise RolloutFailedError(f"rollout {record.rollout.id} is under way, but nothing is in service")
    elapsed = (datetime.now(UTC) - record.started_at).total_seconds()
    report = judge_readiness(record.rollout, policy, plan, list_replicas(ledger), elapsed)
    return report, report.verdict == "promote"


def _judge_step(
    record: "RolloutRecord", policy: DeploymentPolicy, ledger: "Ledger", reader: "EvidenceReader"
) -> tuple[RolloutReport, bool]:
    """Judge a later step; also tell whether it has seen the requests that it is for."""
    from include.deployment.evidence import trace_shares
    from include.deployment.judging import judge
    from include.deployment.strategies import is_passed
    from include.ledger.plans import list_plans

    rollout = record.rollout
    # A run that is cleared begins its rollout anew under the same number; what was seen before does not count.
    shares = trace_shares(list_plans(ledger, rollout.release.model.model.project), rollout, record.started_at)
    counts, share = reader.read(shares), shares[max(shares)]
    elapsed = (datetime.now(UTC) - record.started_at).total_seconds() / 60
    report = judge(counts, policy, rollout, record.step, share, elapsed_minutes=elapsed)
    return report, is_passed(rollout.strategy, policy, counts.requests.get(share, 0))


def _go_on(record: "RolloutRecord", policy: DeploymentPolicy, ledger: "Ledger") -> None:
    from include.deployment.strategies import describe_step, make_change
    from include.ledger.rollouts import advance_rollout

    rollout, step = record.rollout, record.step + 1
    why = describe_step(rollout, policy, step)
    advance_rollout(ledger, rollout, record.step, make_change(rollout, policy, step), why)


def _tell_end(record: "RolloutRecord") -> RolloutReport:
    """Report a rollout that somebody else has ended."""
    from include.ledger.rollouts import COMPLETED

    completed = record.state == COMPLETED
    reasons = record.reasons or (f"rollout {record.rollout.id} is {record.state.replace('_', ' ')}",)
    told = record.report or RolloutReport(rollout=record.rollout, verdict="continue", step=record.step, reasons=reasons)
    return told.model_copy(update={"verdict": "promote" if completed else "roll_back", "reasons": reasons})
