"""Hours in which no rollout begins, and freezes that stand until they are lifted. Going back is always allowed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from include.errors import RolloutFailedError
from include.project import DeploymentPolicy, FreezeWindow

if TYPE_CHECKING:
    from include.ledger.freezes import FreezeRecord


class Freeze(NamedTuple):
    """A freeze window that is open."""

    reason: str
    until: datetime


def find_freeze(windows: Sequence[FreezeWindow], at: datetime) -> Freeze | None:
    """Return the freeze window that is open at a moment with time zone, of several the one that ends last."""
    ends = ((window.reason, window.find_end(at)) for window in windows)
    spanning = [Freeze(reason, end.astimezone(UTC)) for reason, end in ends if end]
    return max(spanning, key=lambda freeze: freeze.until, default=None)


def require_open(policy: DeploymentPolicy, at: datetime, standing: "Sequence[FreezeRecord]" = ()) -> None:
    """Refuse to begin a rollout while anything forbids it.

    :param standing: The project's freezes in the ledger.
    :raises RolloutFailedError: a freeze window is open at that moment, or a freeze stands.
    """
    again = "Run it again after that; going back to a release that answered before is possible at any time"
    if freeze := find_freeze(policy.freeze, at):
        raise RolloutFailedError(
            f"no rollout begins before {freeze.until:%Y-%m-%d %H:%M} UTC: {freeze.reason}. {again}"
        )
    if standing:
        reasons = "; ".join(f"{one.reason} (`{one.cause}`, since {one.since:%Y-%m-%d %H:%M})" for one in standing)
        raise RolloutFailedError(f"no rollout begins until somebody lifts the freeze, or it ends: {reasons}. {again}")
