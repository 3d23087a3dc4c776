"""Episodes: many windows may confirm that the world differs, one answer follows. Light: a trigger imports this."""

from datetime import datetime

from include.contracts import ActionDecision, DiagnosisReport, DriftReport, EpisodeReport, PerformanceReport
from include.ledger import Ledger
from include.ledger.episodes import (
    UNFAIR,
    answer_episode,
    calm_episode,
    find_open_episode,
    find_unclosed_episode,
    list_episodes,
    name_incident,
    open_episode,
    record_action,
)
from include.ledger.incidents import open_incident
from include.ledger.retrainings import reclaim_lost
from include.project import Project

RUNBOOK = "docs/runbook.md#drift-episodes"


def record_window(project: Project, found: DriftReport | PerformanceReport, ledger: Ledger) -> int | None:
    """Open an episode for a window that differs, or count the window for or against the one that is open.

    Returns the episode that the window opened, confirms or ended. A window without enough evidence changes nothing.
    """
    reclaim_lost(ledger, project.name)
    if found.verdict in {"drift", "degraded"}:
        return open_episode(ledger, found)
    if found.verdict == "stable":
        return calm_episode(ledger, found, needed=project.monitoring.retraining.recovered_windows)
    return None


def find_drift(
    project: str, ledger: Ledger, *, answered: bool = False, since: datetime | None = None
) -> EpisodeReport | None:
    """Return the episode that nobody has answered yet.

    :param answered: Also one that was: a person wants to answer it anew.
    :param since: Instead, the newest that opened from here on, whatever has become of it.
    """
    if since:
        return next((one for one in list_episodes(ledger, project, 1) if one.opened_at >= since), None)
    return (find_unclosed_episode if answered else find_open_episode)(ledger, project)


def choose_window(
    episode: EpisodeReport, drift: DriftReport, performance: PerformanceReport
) -> tuple[DriftReport, PerformanceReport | None]:
    """Return the reports to diagnose from: those of a window that differs, else those that opened the episode."""
    if drift.verdict == "drift" or performance.verdict == "degraded" or episode.drift is None:
        return drift, performance
    return episode.drift, episode.performance


def settle_action(
    decision: ActionDecision, diagnosis: DiagnosisReport, project: Project, ledger: Ledger, run: str
) -> int | None:
    """Keep a decision; where no training and no labels are to follow, that is the answer. Return its incident, if any.

    A source that is to be fixed, and probabilities to be recalibrated, are work of people, who hear of it once.
    """
    record_action(ledger, decision)
    if decision.action in {"retrain", "relabel"} or not answer_episode(ledger, decision.episode, run):
        return None
    if decision.action == "ignore":
        return None
    return open_incident(
        ledger,
        project.name,
        kind="drift",
        key=name_incident(decision.episode),
        title=f"{diagnosis.name}: {decision.action.replace('_', ' ')}",
        impact="medium",
        urgency="high" if decision.action == "fix_source" else "low",
        runbook=RUNBOOK,
        owner=project.owner,
        evidence=diagnosis.model_dump(mode="json"),
        who=run,
    )


def report_unfair(project: Project, performance: PerformanceReport, ledger: Ledger, run: str) -> int | None:
    """Open one incident for all slices that are served worse than they were; return it, if there are any."""
    if not performance.unfair:
        return None
    return open_incident(
        ledger,
        project.name,
        kind="unfair",
        key=UNFAIR,
        title=f"slices are served worse than certified: {len(performance.unfair)}",
        impact="medium",
        urgency="medium",
        runbook=RUNBOOK,
        owner=project.owner,
        evidence={
            "summary": "; ".join(performance.unfair),
            "slices": [one.model_dump(mode="json") for one in performance.slices],
        },
        who=run,
    )
