"""How often healthy traffic is called drift, for windows of 50 to 5,000 answers; and a shift too small to matter.

    .venv/bin/python -m benchmarks.drift_nulls [streams]

Every stream deals photographed digits anew into those a release is certified on (300) and those that come later, from
which windows are drawn: both sides err, as they do in service. An hourly window follows the other, four to a stream,
and Windhover may alarm in 5 % of the streams. The other two judges make no promise over windows; beside them stands
what they say of the same ones. The small shift moves every image statistic by a tenth of its standard deviation.
"""

import os
import sys
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.digit_network import photograph_digits, teach
from benchmarks.drift_streams import JUDGES, deal, draw, make_judges, tabulate
from include.monitoring.layers import NUMBERS, weigh_features
from include.monitoring.sequence import HOURS_PER_QUARTER

SIZES = (50, 200, 1000, 5000)
WINDOWS = 4
ALPHA = 0.05
STREAMS = 1000
CORES = os.cpu_count() or 1
SMALL = 0.1
MANY = 10_000
# As many as make the chance of an alarm within a stream at most alpha.
PER_QUARTER = ALPHA * HOURS_PER_QUARTER / WINDOWS


def make_pool() -> pa.Table:
    """Answer a thousand digits that the network did not learn from."""
    train, certified, later = photograph_digits(0)
    return tabulate(teach(train, certified), [*certified.images, *later.images])


def shift(table: pa.Table, deviations: float) -> pa.Table:
    """Move every image statistic by a share of its standard deviation."""
    for name in [name for name, layer in NUMBERS.items() if layer == "image"]:
        values = table[name].to_numpy()
        table = table.set_column(table.column_names.index(name), name, pa.array(values + deviations * values.std()))
    return table


def count_alarms(pool: pa.Table, size: int, seeds: range, deviations: float) -> Counter[str]:
    """Count the streams in which each judge alarms."""
    counts: Counter[str] = Counter()
    with threadpool_limits(1):
        for seed in seeds:
            chance = np.random.default_rng([seed, size])
            reference, later = deal(pool, chance)
            later = shift(later, deviations)
            windows = [draw(later, size, chance) for _ in range(WINDOWS)]
            for name, judge in make_judges(reference, PER_QUARTER).items():
                counts[name] += any(judge(window) for window in windows)
    return counts


def measure(pool: pa.Table, size: int, streams: int, deviations: float, workers: Executor) -> dict[str, float]:
    """Return the share of streams in which each judge alarms; the processes take turns."""
    parts = [range(first, streams, CORES) for first in range(CORES)]
    found = [workers.submit(count_alarms, pool, size, part, deviations) for part in parts]
    total = sum((one.result() for one in found), Counter())
    return {name: total[name] / streams for name in JUDGES}


def main(streams: int = STREAMS, sizes: tuple[int, ...] = SIZES) -> bool:
    """Print one line for each size, healthy and slightly shifted, and tell whether the promise holds at each."""
    allowed = ALPHA + 2 * float(np.sqrt(ALPHA * (1 - ALPHA) / streams))
    table = Table(
        title=f"Streams of {WINDOWS} hourly windows; goal: Windhover alarms in <= {allowed:.1%} of healthy ones at "
        "every size, and no more often of a shift that matters to nobody",
        title_justify="left",
    )
    for heading in ("traffic", "streams", "window", *JUDGES):
        table.add_column(heading, justify="right")
    pool, sound = make_pool(), True
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as workers:
        for deviations, count in ((0.0, streams), (SMALL, max(1, streams // 5))):
            for size in sizes:
                shares = measure(pool, size, count, deviations, workers)
                traffic = f"moved by {deviations} sd" if deviations else "healthy"
                table.add_row(traffic, f"{count:,}", f"{size:,}", *(f"{share:.1%}" for share in shares.values()))
                sound &= shares["Windhover"] <= allowed
    Console().print(table)
    begun = perf_counter()
    weigh_features(pool, draw(pool, MANY, np.random.default_rng(0)))
    Console().print(f"{MANY:,} answers: {perf_counter() - begun:.2f} s")
    return sound


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
