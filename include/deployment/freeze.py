"""Freeze windows: hours in which no rollout begins. Going back is always allowed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from include.errors import RolloutFailedError
from include.project import DeploymentPolicy, FreezeWindow

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Freeze(NamedTuple):
    """A freeze window that is open."""

    reason: str
    until: datetime


def find_freeze(windows: Sequence[FreezeWindow], at: datetime) -> Freeze | None:
    """Return the freeze window that is open at a moment with time zone, of several the one that ends last."""
    now = at.astimezone(UTC)
    spans = ((window, *span) for window in windows for span in _spans(window, now))
    spanning = [Freeze(window.reason, end) for window, start, end in spans if start <= now < end]
    return max(spanning, key=lambda freeze: freeze.until, default=None)


def require_open(policy: DeploymentPolicy, at: datetime) -> None:
    """Refuse to begin a rollout within a freeze window.

    :raises RolloutFailedError: one is open at that moment.
    """
    freeze = find_freeze(policy.freeze, at)
    if freeze:
        raise RolloutFailedError(
            f"no rollout begins before {freeze.until:%Y-%m-%d %H:%M} UTC: {freeze.reason}. Run it again after that; "
            "going back to a release that answered before is possible at any time"
        )


def _spans(window: FreezeWindow, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield when a window that may reach into this moment began, and when it ends."""
    length_days = 1 if window.end <= window.start else 0
    for day in (now.date(), now.date() - timedelta(days=1)):
        if WEEKDAYS[day.weekday()] in window.days:
            start = datetime.combine(day, window.start, UTC)
            yield start, datetime.combine(day + timedelta(days=length_days), window.end, UTC)
