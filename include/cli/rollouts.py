"""Put releases into service and take them out again: what deploy_model does, in one process."""

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.cli.workplace import Workplace
from include.contracts import ReleaseRef, RolloutRef, RolloutReport
from include.errors import ArtifactNotFoundError, RolloutFailedError

if TYPE_CHECKING:
    from include.ledger import Ledger

POLL_SECONDS = 0.2
TAKEN_BACK = "taken back from the command line"


def deploy(workplace: Workplace, release: ReleaseRef) -> ReleaseRef:
    """Roll a release out, and crown its model or roll back; one that serves already is only looked at.

    :raises RolloutFailedError: it is not live; unless it served before, what did serves again.
    """
    from include.deployment.rollout import complete_rollout, roll_back, roll_out
    from include.ledger.audit import seal_chain
    from include.ledger.episodes import close_episodes
    from include.ledger.releases import find_serving_rollouts
    from include.registry.aliases import crown_champion

    ledger, earlier = workplace.ledger, find_serving_rollouts(workplace.ledger, workplace.project.name)
    serves_already = bool(earlier) and earlier[-1].release.digest == release.digest
    # Another rollout of it would forget which release to return to.
    rollout = earlier[-1] if serves_already else roll_out(release, ledger, workplace.run)
    report = _wait_for_verdict(workplace, rollout)
    if report.verdict == "unhealthy" and serves_already:
        raise RolloutFailedError(f"{'; '.join(report.reasons)}; see `make status`, or return with `rollback`")
    if report.verdict == "unhealthy":
        roll_back(report, ledger)
        raise RolloutFailedError(f"rolled back: {'; '.join(report.reasons)}")
    complete_rollout(rollout, ledger)
    crown_champion(release.model, ledger, workplace.tracking, reason=f"rollout {rollout.id} is healthy")
    seal_chain(ledger, workplace.project.name, workplace.store)
    close_episodes(ledger, workplace.project.name)
    return release


def return_to_previous(workplace: Workplace, reason: str = TAKEN_BACK) -> ReleaseRef:
    """Take the release that serves now back; the one before it serves again. The champion stays who it is.

    :param reason: Why, for the rollout and the audit chain.
    :raises ArtifactNotFoundError: nothing serves, nothing served before, or this was done already.
    :raises RolloutFailedError: the release before is named in the ledger, but not live yet.
    """
    from include.deployment.rollout import roll_back
    from include.ledger.audit import seal_chain
    from include.ledger.releases import find_release, find_serving_rollouts

    name, ledger = workplace.project.name, workplace.ledger
    rollouts = find_serving_rollouts(ledger, name)
    if not rollouts:
        raise ArtifactNotFoundError(
            f"nothing to take back: {_describe_service(name, ledger)}; `deploy` puts the version registered last into "
            "service"
        )
    taken, previous = rollouts[-1].release.digest, rollouts[0].previous
    if previous is None:
        raise ArtifactNotFoundError(f"{name} served nothing before {taken}; deploy another version instead")
    for rollout in rollouts:
        roll_back(RolloutReport(rollout=rollout, verdict="unhealthy", reasons=(reason,)), ledger, forced=True)
    seal_chain(ledger, name, workplace.store)
    release = find_release(ledger, name, previous)
    report = _wait_for_verdict(workplace, RolloutRef(id=rollouts[-1].id, release=release, previous=None))
    if report.verdict == "unhealthy":
        raise RolloutFailedError(f"{taken} is taken back, but {'; '.join(report.reasons)}; see `make status`")
    return release


def _describe_service(project: str, ledger: "Ledger") -> str:
    from include.ledger.releases import find_serving_releases

    release = find_serving_releases(ledger).get(project)
    if release is None:
        return f"{project} has no release in service"
    return f"{project} has returned to {release.digest} already"


def _wait_for_verdict(workplace: Workplace, rollout: RolloutRef) -> RolloutReport:
    from include.deployment.rollout import judge_rollout

    deadline = datetime.now(UTC) + timedelta(seconds=workplace.project.deployment.ready_seconds)
    while (report := judge_rollout(rollout, workplace.settings.serving_uri, deadline)) is None:
        time.sleep(POLL_SECONDS)
    return report
