"""Drift episodes: many windows may confirm a drift, one retraining answers it. Light: a trigger imports this."""

from include.contracts import DriftReport, RetrainingRequest
from include.ledger import Ledger
from include.ledger.episodes import answer_episode, find_open_episode, find_unclosed_episode, open_episode


def record_drift(drift: DriftReport, ledger: Ledger) -> int | None:
    """Open an episode for a drifted window, or find the one it confirms; other verdicts open none."""
    return open_episode(ledger, drift) if drift.verdict == "drift" else None


def find_drift(project: str, ledger: Ledger) -> tuple[int, DriftReport] | None:
    """Return the episode that nobody has answered yet, with the drift that opened it."""
    return find_open_episode(ledger, project)


def request_retraining(project: str, ledger: Ledger, run: str) -> RetrainingRequest | None:
    """Claim the episode of a project for one run, which gets the same request again on retry; no other run does."""
    found = find_unclosed_episode(ledger, project)
    if found is None:
        return None
    episode, drift = found
    if not answer_episode(ledger, episode, run):
        return None
    return RetrainingRequest(project=project, episode=episode, reason=drift.summary, drift=drift)
