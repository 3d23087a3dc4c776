"""Ask for a training: for an episode whose decision is to retrain, or because the schedule says so."""

from datetime import UTC, datetime, timedelta

from include.contracts import ActionDecision, RetrainingRequest
from include.ledger import Ledger
from include.ledger.episodes import find_episode, name_incident
from include.ledger.incidents import open_incident
from include.ledger.models import find_latest_candidate
from include.ledger.retrainings import Refusal, ask_retraining, find_last_end
from include.monitoring.episodes import RUNBOOK
from include.project import Project


def request_retraining(
    project: Project, decision: ActionDecision | None, ledger: Ledger, run: str
) -> RetrainingRequest | Refusal:
    """Ask for the training that a decision or the schedule wants; the same run is given the same request on retry.

    :param decision: About an unanswered episode; none where there is nothing to decide.
    """
    request = (
        _answer(decision, ledger) if decision and decision.action == "retrain" else _follow_schedule(project, ledger)
    )
    if request is None:
        return Refusal(f"the decision is to {decision.action}, not to retrain" if decision else "no training is due")
    refusal = ask_retraining(
        ledger, request, occasion=request.occasion, asked_by=run, policy=project.monitoring.retraining
    )
    if refusal and refusal.spent and request.episode is not None:
        _tell(project, request.episode, refusal, ledger, run)
    return refusal or request


def _answer(decision: ActionDecision, ledger: Ledger) -> RetrainingRequest:
    episode = find_episode(ledger, decision.episode)
    cause = episode.diagnosis.name if episode.diagnosis else decision.cause
    chosen = f"; {decision.reasons[-1]}" if decision.overridden_by else ""
    return RetrainingRequest(
        project=episode.project,
        episode=episode.id,
        # A person's choice is an occasion of its own: the policy may have been answered before.
        occasion=name_incident(episode.id) + chosen,
        reason=f"{episode.trigger}, episode {episode.id}: {cause}{chosen}",
        trigger=episode.trigger,
        mode=decision.mode,
        drift=episode.drift,
    )


def _follow_schedule(project: Project, ledger: Ledger) -> RetrainingRequest | None:
    """Ask for the training of the schedule, if it is due; the first training of all is no retraining."""
    policy, now = project.monitoring.retraining, datetime.now(UTC)
    if not policy.every_days or find_latest_candidate(ledger, project.name) is None:
        return None
    last = find_last_end(ledger, project.name)
    if last and now < last + timedelta(days=policy.every_days):
        return None
    return RetrainingRequest(
        project=project.name,
        episode=None,
        occasion=f"schedule {now:%Y-%m-%d}",
        reason=f"schedule: every {policy.every_days} days; the last training ended {last or 'before any was kept'}",
        trigger="schedule",
        mode=policy.mode,
    )


def _tell(project: Project, episode: int, refusal: Refusal, ledger: Ledger, run: str) -> None:
    open_incident(
        ledger,
        project.name,
        kind="drift",
        key=name_incident(episode),
        title=f"episode {episode} wants a training, but {refusal.why}",
        impact="medium",
        urgency="medium",
        runbook=RUNBOOK,
        owner=project.owner,
        who=run,
    )
