"""How often a healthy release is called degraded, and how many labels it takes to find one that is.

    .venv/bin/python -m benchmarks.accuracy_detection

Labels of a release that was certified at 95 % come one after the other for a quarter, whether few or many an hour, and
one looks after each of them. Beside it what is often done: every hour, a one-sided binomial test at 1 % of the
labels of that hour against the same bound. Then accuracy falls after 500 healthy hours.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from include.monitoring.detection import trace_rise
from include.monitoring.sequence import HOURS_PER_QUARTER

CERTIFIED, BOUND = 0.95, 0.10
RATES = (2, 10, 50)
STREAMS = 200
HEALTHY_HOURS = 500
DECLINES = (0.85, 0.80, 0.70, 0.50)
ALPHA = 0.01


def draw(accuracy: float, labels: int, chance: np.random.Generator) -> NDArray[np.float64]:
    """Draw which answers are wrong."""
    return (chance.random(labels) >= accuracy).astype(float)


def count_alarms(accuracy: float, per_hour: int, streams: int) -> tuple[float, float]:
    """Return the alarms of a quarter: ours, where each begins anew after an alarm, and the hourly tests'."""
    hours, chance, ours, hourly = int(HOURS_PER_QUARTER), np.random.default_rng(per_hour), 0, 0
    least = binom.isf(ALPHA, per_hour, BOUND)
    for _ in range(streams):
        wrong = draw(accuracy, hours * per_hour, chance)
        hourly += int((wrong.reshape(hours, per_hour).sum(axis=1) > least).sum())
        moments = np.arange(len(wrong)) / per_hour
        while len(wrong) and (evidence := trace_rise(wrong, BOUND, moments)).max() >= HOURS_PER_QUARTER:
            ours += 1
            first = int((evidence >= HOURS_PER_QUARTER).argmax()) + 1
            wrong, moments = wrong[first:], moments[first:]
    return ours / streams, hourly / streams


def count_labels(accuracy: float, per_hour: int, streams: int) -> NDArray[np.float64]:
    """Return the labels from a fall of accuracy to the alarm, by stream; infinite where none comes in 500 hours."""
    chance, found = np.random.default_rng(per_hour), []
    healthy = HEALTHY_HOURS * per_hour
    for _ in range(streams):
        wrong = np.concatenate([draw(CERTIFIED, healthy, chance), draw(accuracy, healthy, chance)])
        alarms = np.flatnonzero(trace_rise(wrong, BOUND, np.arange(len(wrong)) / per_hour) >= HOURS_PER_QUARTER)
        late = alarms[alarms >= healthy]
        found.append(late[0] - healthy + 1 if len(late) else np.inf)
    return np.array(found)


def main(streams: int = STREAMS) -> bool:
    """Print the tables, and tell whether the promise of one false alarm a quarter was kept."""
    alarms = Table(
        title=f"false alarms a quarter, {streams} quarters a line; promised: at most 1", title_justify="left"
    )
    for index, heading in enumerate(("accuracy", "labels an hour", "e-detector", f"hourly test at {ALPHA:.0%}")):
        alarms.add_column(heading, justify="right" if index else "left")
    kept = True
    for accuracy in (CERTIFIED, 1 - BOUND):
        for per_hour in RATES:
            ours, hourly = count_alarms(accuracy, per_hour, streams)
            kept &= ours <= 1 + 2 / np.sqrt(streams)
            alarms.add_row(f"{accuracy:.0%}", str(per_hour), f"{ours:.2f}", f"{hourly:.1f}")
    delays = Table(
        title=f"labels until an alarm, certified {CERTIFIED:.0%}, accepted {1 - BOUND:.0%}", title_justify="left"
    )
    for index, heading in enumerate(("accuracy falls to", *(f"{rate} an hour: median, p95" for rate in RATES))):
        delays.add_column(heading, justify="right" if index else "left")
    for accuracy in DECLINES:
        middle = [np.quantile(count_labels(accuracy, rate, streams), (0.5, 0.95), method="higher") for rate in RATES]
        delays.add_row(f"{accuracy:.0%}", *(f"{half:.0f}, {late:.0f}" for half, late in middle))
    for table in (alarms, delays):
        Console().print(table)
    return bool(kept)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
