"""What kill -9 of a serving process costs whoever asks meanwhile, under a load that waits for nobody.

    .venv/bin/python -m benchmarks.replica_kill [--kills 50] [--rate 50]

Two serving processes behind nginx are asked at a constant rate. One after the other is killed in the middle of its
work; nginx gives what it took with it to the other one, once, and says so in its log; the supervisor starts it again.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import psutil

from benchmarks.open_loop import OpenLoop, find_percentile
from benchmarks.serving_ground import ServingGround, print_table, start_serving, wait_until
from deploy.supervision import Supervisor
from include.predictions import read_predictions

BACK_SECONDS = 3.0
# Long enough to be taken for healthy by the supervisor, which starts such a process again at once.
CALM_SECONDS = 3.0


@dataclass(frozen=True)
class Findings:
    """Counts of requests; how long a killed process was away, in seconds; latencies in milliseconds.

    :ivar start_cpu: Median processor seconds of a start: what it takes on a machine with nothing else to do.
    """

    kills: int
    requests: int
    failed: int
    unlogged: int
    retried: int
    retried_twice: int
    back_median: float
    back_worst: float
    start_cpu: float
    p99: float
    slowest: float
    failures: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nobody noticed, and it was back in time."""
        return not (self.failed or self.unlogged or self.retried_twice) and self.back_worst <= BACK_SECONDS


class Start(NamedTuple):
    """How long a killed process was away, and what of that the processor worked for it."""

    seconds: float
    cpu: float


def measure(ground: ServingGround, kills: int, rate: float) -> Findings:
    """Kill one process after the other under load."""
    ground.switch(ground.releases.make(1), "first")
    before, begun = len(ground.read_tries()), datetime.now(UTC)
    with OpenLoop(ground.question, rate) as load:
        time.sleep(CALM_SECONDS)
        starts = [_kill(ground, ground.replicas[number % len(ground.replicas)]) for number in range(kills)]
    answers = load.answers
    failures = tuple(answer.failure for answer in answers if answer.failure)
    tries = [line.split('tried "')[1].split('"')[0].count(",") for line in ground.read_tries()[before:]]
    return Findings(
        kills=kills,
        requests=len(answers),
        failed=len(failures),
        unlogged=_count_unlogged(ground, {answer.request_id for answer in answers if not answer.failure}, begun),
        retried=sum(tried == 1 for tried in tries),
        retried_twice=sum(tried > 1 for tried in tries),
        back_median=float(np.median([start.seconds for start in starts])),
        back_worst=max(start.seconds for start in starts),
        start_cpu=float(np.median([start.cpu for start in starts])),
        p99=find_percentile(answers, 99),
        slowest=find_percentile(answers, 100),
        failures=failures,
    )


def _kill(ground: ServingGround, replica: str) -> Start:
    """Kill a process; return once another one in its place gives right answers."""
    killed = time.monotonic()
    os.kill(_find_pid(ground, replica), signal.SIGKILL)
    wait_until(lambda: not ground.is_ready(replica), f"the end of {replica}", pause=0.0)
    wait_until(lambda: ground.is_ready(replica), replica)
    back = time.monotonic() - killed
    spent = psutil.Process(_find_pid(ground, replica)).cpu_times()
    time.sleep(CALM_SECONDS)
    return Start(back, spent.user + spent.system)


def _find_pid(ground: ServingGround, replica: str) -> int:
    return int(Supervisor(ground.home).describe()[replica]["pid"])


def _count_unlogged(ground: ServingGround, answered: set[str], begun: datetime) -> int:
    """Count the answered requests of which the prediction log never hears."""

    def list_missing() -> set[str]:
        logged = read_predictions(ground.store, ground.releases.project.name, begun, datetime.now(UTC))
        return answered.difference(logged["request_id"].to_pylist())

    try:
        wait_until(lambda: not list_missing(), "the prediction log", pause=1.0)
    except TimeoutError:
        return len(list_missing())
    return 0


def print_findings(found: Findings) -> None:
    """Print a table."""
    lines = {
        "kill -9 of a serving process": (found.kills, ""),
        "requests": (found.requests, ""),
        "failed": (found.failed, "0"),
        "answered but not in the log": (found.unlogged, "0"),
        "tried by two processes": (found.retried, ""),
        "tried more often": (found.retried_twice, "0"),
        "back after, median s": (f"{found.back_median:.1f}", ""),
        "back after, worst s": (f"{found.back_worst:.1f}", f"{BACK_SECONDS:.1f}"),
        "processor s of a start": (f"{found.start_cpu:.1f}", ""),
        "p99, ms": (f"{found.p99:.1f}", ""),
        "slowest, ms": (f"{found.slowest:.1f}", ""),
    }
    print_table(lines, found.failures)


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how often one of two processes is killed")
    parser.add_argument("--rate", type=float, default=50, help="requests per second")
    chosen = parser.parse_args(arguments)
    with start_serving() as ground:
        found = measure(ground, chosen.kills, chosen.rate)
    print_findings(found)
    return found


if __name__ == "__main__":
    sys.exit(0 if main().kept else 1)
