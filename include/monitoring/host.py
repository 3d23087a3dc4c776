"""What the stack's machine is busy with, and when one of its resources will be used up."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from include.contracts import HostReport

Resource = Literal["memory", "disk"]
FULL = 0.95
# A machine always breathes: fewer samples, or a shorter time, show no trend.
LEAST_SAMPLES = 30
LEAST_HOURS = 1.0
MOST_SAMPLES = 300
# How many times as far ahead as was looked back.
FARTHEST = 10
# Share of pairs of samples of which the later one is fuller; 0.5 is chance.
STEADY = 0.75


class Forecast(NamedTuple):
    """How full a resource is, and in how many days it will be full; none while it does not grow steadily."""

    resource: Resource
    used: float
    days: float | None

    @property
    def summary(self) -> str:
        """One line for people."""
        now = f"{self.resource} {self.used:.0%} full"
        if self.days is None:
            return now
        return f"{now}, all of it in {self.days:.1f} days" if self.days >= 1 else f"{now}, in {self.days * 24:.1f} h"


class HostSampler:
    """Measures one machine; rates are means since the sample before.

    :param folder: Any path on the file system that matters.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        psutil.cpu_percent()  # counts from here on
        self._before: tuple[datetime, int, int] | None = None

    def measure(self, now: datetime) -> HostReport:
        """Take a sample; `now` is a moment with time zone."""
        counters = psutil.net_io_counters()
        sent, received = (counters.bytes_sent, counters.bytes_recv) if counters else (0, 0)
        then, sent_then, received_then = self._before or (now, sent, received)
        self._before = (now, sent, received)
        seconds = max((now - then).total_seconds(), 1.0)
        return HostReport(
            at=now,
            cpu=min(psutil.cpu_percent() / 100, 1.0),
            memory=psutil.virtual_memory().percent / 100,
            disk=psutil.disk_usage(str(self._folder)).percent / 100,
            sent=max(sent - sent_then, 0) / seconds,
            received=max(received - received_then, 0) / seconds,
        )


def forecast(samples: list[HostReport]) -> list[Forecast]:
    """Say of memory and disk how full they are, and when they will be full if they go on like that.

    The trend is the median of the slopes between all pairs of samples (Theil 1950; Sen 1968), which a burst does not
    bend; it counts only where most pairs rise (Mann 1945).

    :param samples: Of one machine, oldest first.
    """
    if not samples:
        return []
    step = -(-len(samples) // MOST_SAMPLES)
    thinned = samples[::-1][::step][::-1]
    resources: tuple[Resource, ...] = ("memory", "disk")
    return [_forecast_one(resource, thinned) for resource in resources]


def _forecast_one(resource: Resource, samples: list[HostReport]) -> Forecast:
    import numpy as np

    used = np.array([getattr(sample, resource) for sample in samples])
    hours = np.array([(sample.at - samples[0].at) / timedelta(hours=1) for sample in samples])
    now = float(used[-1])
    if len(samples) < LEAST_SAMPLES or hours[-1] < LEAST_HOURS:
        return Forecast(resource, now, None)
    earlier, later = np.triu_indices(len(samples), k=1)
    slopes = (used[later] - used[earlier]) / (hours[later] - hours[earlier])
    slope = float(np.median(slopes))
    if slope <= 0 or float(np.mean(slopes > 0)) < STEADY:
        return Forecast(resource, now, None)
    ahead = max(0.0, 1 - now) / slope
    return Forecast(resource, now, ahead / 24 if ahead <= FARTHEST * hours[-1] else None)
