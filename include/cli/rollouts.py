"""Put releases into service and take them out again: what deploy_model and switch_release do, in one process."""

import logging
import time
from typing import Any

from include.cli.workplace import Workplace
from include.contracts import ReleaseRef, RolloutRef, RolloutReport
from include.errors import RolloutFailedError, TransientError

POLL_SECONDS = 0.5
TAKEN_BACK = "taken back from the command line"

logger = logging.getLogger(__name__)


def deploy_release(workplace: Workplace, release: ReleaseRef, strategy: str = "") -> ReleaseRef:
    """Roll a release out, and crown its model or go back; one that serves already is only looked at.

    Killed meanwhile, the rollout stays at its step; the next call begins it anew.

    :param strategy: One of the five; the project file's, or the recommended one, unless given.
    :raises RolloutFailedError: it did not prove itself; what answered before answers.
    """
    from include.deployment.notes import write_release_notes
    from include.deployment.recommend import read_facts, recommend_strategy
    from include.deployment.rollout import complete_rollout, start
    from include.ledger.audit import seal_chain
    from include.ledger.episodes import close_episodes
    from include.registry.aliases import crown_champion

    project, ledger, store = workplace.project, workplace.ledger, workplace.store
    decision = recommend_strategy(project, read_facts(project, release, ledger, store), strategy)
    rollout = start(release, decision, project, ledger, store, workplace.run)
    report = _watch(workplace, rollout)
    if report.verdict != "promote":
        seal_chain(ledger, project.name, store)
        raise RolloutFailedError(f"rolled back: {'; '.join(report.reasons)}")
    complete_rollout(rollout, ledger)
    crown_champion(release.model, ledger, workplace.tracking, reason=f"rollout {rollout.id} proved itself")
    seal_chain(ledger, project.name, store)
    close_episodes(ledger, project.name)
    write_release_notes(rollout, project, ledger, store)
    _await_followers(workplace)
    return release


def switch(workplace: Workplace, to: str, reason: str = TAKEN_BACK) -> ReleaseRef:
    """Let another release answer at once, and wait until it does. The model registry's champion stays who it is.

    :param to: `previous`, `next`, or the number of a version that answered before.
    :param reason: Why, for the audit chain.
    :raises ArtifactNotFoundError: there is no such release.
    :raises RolloutFailedError: the plan names it, but a serving process does not follow.
    """
    from include.deployment.switching import switch_release
    from include.ledger.audit import seal_chain

    name, ledger = workplace.project.name, workplace.ledger
    plan = switch_release(name, to, ledger, who=None, why=reason)
    seal_chain(ledger, name, workplace.store)
    _await_followers(workplace)
    return plan.champion


def describe_rollouts(workplace: Workplace, limit: int) -> dict[str, Any]:
    """Say who answers now, what the serving processes do, and how the newest rollouts went."""
    from include.ledger.plans import find_plan, list_replicas
    from include.ledger.rollouts import list_rollouts

    name, ledger = workplace.project.name, workplace.ledger
    plan = find_plan(ledger, name)
    return {
        "plan": plan.model_dump(mode="json") if plan else None,
        "replicas": [replica.model_dump(mode="json") for replica in list_replicas(ledger)],
        "rollouts": [
            {
                "id": one.rollout.id,
                "version": one.rollout.release.model.version,
                "strategy": one.rollout.strategy,
                "state": one.state,
                "step": one.step,
                "started_at": one.started_at.isoformat(),
                "ended_at": one.ended_at.isoformat() if one.ended_at else None,
                "reasons": one.reasons or (one.report.reasons if one.report else ()),
            }
            for one in list_rollouts(ledger, name, limit)
        ],
    }


def _watch(workplace: Workplace, rollout: RolloutRef) -> RolloutReport:
    from include.deployment.rollout import open_evidence, watch_rollout

    reader = open_evidence(rollout, workplace.ledger, workplace.store)
    while True:
        try:
            report = watch_rollout(rollout, workplace.ledger, workplace.store, reader)
        except TransientError as error:
            logger.warning("%s; looking again", error)
        else:
            if report is not None:
                return report
        time.sleep(POLL_SECONDS)


def _await_followers(workplace: Workplace) -> None:
    from include.deployment.switching import await_followers
    from include.ledger.plans import find_plan

    plan = find_plan(workplace.ledger, workplace.project.name)
    if plan is not None:
        await_followers(plan, workplace.ledger, workplace.project.deployment.ready_seconds)
