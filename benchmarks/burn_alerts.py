"""How often an error budget's alerts cry wolf, and how soon they tell of an outage.

    .venv/bin/python -m benchmarks.burn_alerts

Traffic is drawn, seeded: a month of a service that makes half of the errors it is allowed, looked at every five minutes
with the alerts as they are, and with those of the book alone, which believe a share of three requests. Then the last
minutes of healthy months are broken, and the minutes until the first alert that wakes somebody are counted.
"""

import sys
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from include.ledger.objectives import Tally
from include.monitoring import burn
from include.monitoring.burn import BurnAlert, Look, find_alert, list_lengths

STREAMS = 20
DAYS, LOOK_MINUTES = 28, 5
MINUTES = DAYS * 24 * 60


class Service(NamedTuple):
    """What is promised, and how much is asked."""

    target: float
    per_minute: float


SERVICES = [Service(target, rate) for target in (0.99, 0.999) for rate in (0.1, 1, 10, 100)]
OUTAGES = (1.0, 0.5, 0.2)


class Stream:
    """A month of events, added up minute by minute."""

    def __init__(self, service: Service, seed: int) -> None:
        self._service = service
        self._random = np.random.default_rng(seed)
        rates = np.full(MINUTES, (1 - service.target) / 2)
        self._events, self._bad = self._draw(rates)

    def break_down(self, share: float, minutes: int) -> None:
        """Draw the last minutes anew, with a share of bad events."""
        healthy = np.full(MINUTES - minutes, (1 - self._service.target) / 2)
        self._events, self._bad = self._draw(np.concatenate([healthy, np.full(minutes, share)]))

    def look(self, minute: int) -> BurnAlert | None:
        """Look as the watcher does at a minute."""
        looks = {}
        for hours in list_lengths(DAYS):
            since = max(0, minute - round(hours * 60))
            events = int(self._events[minute] - self._events[since])
            bad = int(self._bad[minute] - self._bad[since])
            looks[hours] = Look(Tally(events - bad, events), (minute - since) / (hours * 60))
        return find_alert(looks, self._service.target, DAYS)

    def _draw(self, rates: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        events = self._random.poisson(self._service.per_minute, MINUTES)
        bad = self._random.binomial(events, rates)
        return tuple(np.concatenate([[0], np.cumsum(counts)]) for counts in (events, bad))


def count_alerts(service: Service, seed: int, days: int = DAYS) -> int:
    """Count how often an alert begins in a month in which nothing is the matter."""
    stream, before, begun = Stream(service, seed), None, 0
    for minute in range(60, days * 24 * 60, LOOK_MINUTES):
        alert = stream.look(minute)
        begun += alert is not None and before is None
        before = alert
    return begun


def time_alert(service: Service, share: float, seed: int, most: int = 240) -> int:
    """Return the minutes from the begin of an outage to an alert that wakes; `most` if there is none."""
    stream = Stream(service, seed)
    stream.break_down(share, most)
    for minute in range(1, most):
        alert = stream.look(MINUTES - most + minute)
        if alert and alert.wakes:
            return minute
    return most


def show_false_alerts(streams: int, days: int = DAYS) -> tuple[Table, bool]:
    """Draw healthy months; the goal is at most one alert in ten of them wherever the book alone is to be believed."""
    table = Table("promised", "events a minute", "alerts a month", "the book alone", title="half the errors allowed")
    most = 0.0
    for service in SERVICES:
        ours = np.mean([count_alerts(service, seed, days) for seed in range(streams)]) * DAYS / days
        with patch.object(burn, "QUANTILE", 0.0):
            book = np.mean([count_alerts(service, seed, days) for seed in range(streams)]) * DAYS / days
        table.add_row(f"{service.target:.1%}", f"{service.per_minute:g}", f"{ours:.2f}", f"{book:.2f}")
        most = max(most, float(ours) if service.per_minute >= 1 else 0.0)
    return table, most <= 0.1


def show_outages(streams: int) -> tuple[Table, bool]:
    """Draw outages; the goal is an alert within 15 minutes of a total one."""
    table = Table(
        "promised", "events a minute", *(f"{share:.0%} bad" for share in OUTAGES), title="minutes to an alert"
    )
    slowest = 0.0
    for service in (one for one in SERVICES if one.per_minute >= 1):
        minutes = [np.median([time_alert(service, share, seed) for seed in range(streams)]) for share in OUTAGES]
        table.add_row(f"{service.target:.1%}", f"{service.per_minute:g}", *(f"{one:.0f}" for one in minutes))
        slowest = max(slowest, float(minutes[0]))
    return table, slowest <= 15


def main() -> int:
    """Print both tables; 1 unless both goals are reached."""
    console, results = Console(), [show_false_alerts(STREAMS), show_outages(STREAMS)]
    for table, _ in results:
        console.print(table)
    return 0 if all(reached for _, reached in results) else 1


if __name__ == "__main__":
    sys.exit(main())
