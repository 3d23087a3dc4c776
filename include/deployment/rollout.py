"""Put a release into service, ask the serving process how it fares, and finish or return."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from include.contracts import ReleaseRef, RolloutRef, RolloutReport

# The triggerer imports this module: the ledger's database layer and httpx stay out until a function needs them.
if TYPE_CHECKING:
    from include.ledger import Ledger

ANSWER_SECONDS = 5.0


class _Seen(BaseModel):
    live: str | None
    wanted: str | None
    rejected: dict[str, str]
    source: str

    def __str__(self) -> str:
        return f"live {self.live}, wanted {self.wanted} (known from the {self.source})"


class _Answer(BaseModel):
    projects: dict[str, _Seen]


def roll_out(release: ReleaseRef, ledger: "Ledger", run: str) -> RolloutRef:
    """Name a release as the one to serve; the same run finds its rollout again."""
    from include.ledger.releases import start_rollout

    return start_rollout(ledger, release, run)


def judge_rollout(rollout: RolloutRef, serving_uri: str, deadline: datetime) -> RolloutReport | None:
    """Ask the serving process about a rollout; None means that it is too early to tell.

    :param deadline: Moment with time zone after which a release that is not live counts as unhealthy.
    """
    digest = rollout.release.digest
    seen = _ask(serving_uri, rollout.release.model.model.project)
    if isinstance(seen, _Seen):
        if seen.live == digest:
            reason = f"{digest} passed its golden images and is live"
            return RolloutReport(rollout=rollout, verdict="healthy", reasons=(reason,))
        # A rejection counts for the rollout under way; one of an earlier attempt is about to be tried again.
        if seen.wanted == digest and digest in seen.rejected:
            return RolloutReport(rollout=rollout, verdict="unhealthy", reasons=(seen.rejected[digest],))
    if datetime.now(UTC) < deadline:
        return None
    reason = f"{digest} is not live by {deadline.isoformat(timespec='seconds')}; last seen: {seen}"
    return RolloutReport(rollout=rollout, verdict="unhealthy", reasons=(reason,))


def complete_rollout(rollout: RolloutRef, ledger: "Ledger") -> None:
    """Close a rollout whose release proved healthy."""
    from include.ledger.releases import complete_rollout

    complete_rollout(ledger, rollout)


def roll_back(report: RolloutReport, ledger: "Ledger", who: str | None = None, *, forced: bool = False) -> None:
    """Return to the release that served before, for the reasons of a report; an override is on the audit chain.

    :param who: Run or person, for the audit chain.
    :param forced: Whether a person takes it back, healthy or not.
    """
    from include.ledger.releases import revert_rollout

    revert_rollout(ledger, report.rollout, list(report.reasons), who=who, forced=forced)


def _ask(serving_uri: str, project: str) -> _Seen | str:
    """Return what the serving process says of a project, or why it says nothing."""
    import httpx

    try:
        response = httpx.get(f"{serving_uri.rstrip('/')}/v1/release", timeout=ANSWER_SECONDS)
        response.raise_for_status()
        answer = _Answer.model_validate_json(response.content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{serving_uri} does not answer: {error}"
    except ValidationError:
        return f"{serving_uri} answers, but not as a serving process does; check WINDHOVER_SERVING_URI"
    unknown = f"{serving_uri} does not know project {project}; does it read the same ledger?"
    return answer.projects.get(project, unknown)
