"""Error budgets, and alerts on how fast they burn.

Multiwindow, multi-burn-rate alerts as in the Site Reliability Workbook (Beyer et al. 2018, chapter 5, table 5-8): an
alert needs a long look back, that the loss is worth it, and a short one, that it goes on. Beyond the book, few events
prove nothing: the long one counts by the lower end of its interval (Wilson 1927). And a look back to before anything
was measured counts as if all had been well until then: the first failure of a new service uses up no month's budget.
"""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

from include.ledger.objectives import Tally

HOURS_A_DAY = 24
# Of the standard normal, one-sided 97.5 %.
QUANTILE = 1.96


class Look(NamedTuple):
    """Events of a look back.

    :ivar covered: Share of its time in which events were counted already.
    """

    tally: Tally
    covered: float = 1.0

    @property
    def bad(self) -> float:
        """Share of bad events."""
        good, events = self.tally
        return (events - good) / events * self.covered if events else 0.0

    @property
    def least_bad(self) -> float:
        """Lower end of the Wilson score interval of that share."""
        good, events = self.tally
        if not events:
            return 0.0
        share, square = (events - good) / events, QUANTILE**2 / events
        spread = QUANTILE * sqrt((share * (1 - share) + square / 4) / events)
        return max(0.0, (share + square / 2 - spread) / (1 + square)) * self.covered


class BurnAlert(NamedTuple):
    """A share of the budget that is worth an alert when it burns within some hours."""

    hours: float
    still_hours: float
    share: float
    wakes: bool


# The book's, for a window of 30 days: 14.4, 6 and 1 times as fast as allowed.
ALERTS = (BurnAlert(1, 1 / 12, 0.02, True), BurnAlert(6, 0.5, 0.05, True), BurnAlert(72, 6, 0.10, False))


def list_lengths(days: float) -> tuple[float, ...]:
    """Return the lengths in hours over which events have to be counted, the whole window last."""
    looks = {length for alert in ALERTS for length in (alert.hours, alert.still_hours)}
    return (*sorted(looks), days * HOURS_A_DAY)


def measure_left(look: Look, target: float) -> float:
    """Return the share of the error budget that is left, negative once it is overdrawn."""
    return 1 - look.bad / (1 - target)


def measure_burn(look: Look, target: float) -> float:
    """Return how many times as fast as allowed the budget burns."""
    return look.bad / (1 - target)


def is_exhausted(look: Look, target: float) -> bool:
    """Tell whether more went wrong than was allowed, and not by the chance of few events."""
    return look.least_bad > 1 - target


def find_alert(looks: Mapping[float, Look], target: float, days: float) -> BurnAlert | None:
    """Return the fastest alert that fires.

    :param looks: By length in hours, those of `list_lengths`.
    """
    for alert in ALERTS:
        # At least as fast as allowed, and at most what can be reached where much may go wrong.
        speed = min(max(1.0, alert.share * days * HOURS_A_DAY / alert.hours), 0.9 / (1 - target))
        lost = looks[alert.hours].least_bad / (1 - target)
        if lost > speed and measure_burn(looks[alert.still_hours], target) > speed:
            return alert
    return None
