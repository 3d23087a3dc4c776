"""What a shadow costs those who are answered by the champion.

    .venv/bin/python -m benchmarks.shadow_cost [--rounds 12] [--rate 50] [--seconds 10]

Two serving processes behind nginx hold a champion and a candidate, and are asked at a constant rate. By turns, every
request is compared on both models, off its path, and none is. Both turns see the same machine within seconds, so that
what disturbs one disturbs the other as well; requests of the first second after a turn count for neither.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.open_loop import Answer, OpenLoop, find_percentile
from benchmarks.serving_ground import ServingGround, print_table, start_serving, wait_until
from include.contracts import ReleasePlan
from include.ledger.rollouts import advance_rollout, start_rollout

WORSE = 1.10
SETTLING_SECONDS = 1.0


class Turn(NamedTuple):
    """A time in which all requests are compared, or none is; moments in seconds of the monotonic clock."""

    shadow: bool
    begin: float
    end: float


@dataclass(frozen=True)
class Findings:
    """Counts of requests, and their latencies in milliseconds."""

    requests: int
    failed: int
    answers: int
    compared: int
    p50: float
    p99: float
    shadow_p50: float
    shadow_p99: float
    failures: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nobody noticed the shadow."""
        return not self.failed and self.answers == 1 and self.compared > 0 and self.shadow_p99 <= WORSE * self.p99


def measure(ground: ServingGround, rounds: int, rate: float, seconds: float) -> Findings:
    """Turn the shadow on and off under load."""
    champion, candidate = ground.releases.make(1), ground.releases.make(2)
    ground.switch(champion, "first")
    rollout = start_rollout(ground.ledger, candidate, "shadow", "shadow", {})
    turns = []
    with OpenLoop(ground.question, rate) as load:
        for step in range(2 * rounds):
            shadow = step % 2 == 1
            advance_rollout(ground.ledger, rollout, step, lambda plan, on=shadow: _set_shadow(plan, on=on), "benchmark")
            begin = time.monotonic() + SETTLING_SECONDS
            time.sleep(SETTLING_SECONDS + seconds)
            turns.append(Turn(shadow, begin, time.monotonic()))
    wait_until(lambda: _count_comparisons(ground) > 0, "comparisons in the log")
    return assess(load.answers, turns, _count_comparisons(ground))


def assess(answers: Sequence[Answer], turns: Sequence[Turn], compared: int) -> Findings:
    """Hold what was answered under the shadow against what was answered without it."""
    good = [answer for answer in answers if not answer.failure]
    alone, shadowed = (
        [a for a in good if any(t.shadow is shadow and t.begin <= a.due < t.end for t in turns)]
        for shadow in (False, True)
    )
    failures = tuple(answer.failure for answer in answers if answer.failure)
    return Findings(
        requests=len(answers),
        failed=len(failures),
        # To the last bit: one image, one champion, one answer.
        answers=len({(answer.release, answer.confidence) for answer in good}),
        compared=compared,
        p50=find_percentile(alone, 50),
        p99=find_percentile(alone, 99),
        shadow_p50=find_percentile(shadowed, 50),
        shadow_p99=find_percentile(shadowed, 99),
        failures=failures,
    )


def _set_shadow(plan: ReleasePlan, *, on: bool) -> ReleasePlan:
    return plan.model_copy(update={"shadow": float(on)})


def _count_comparisons(ground: ServingGround) -> int:
    files = ground.store.list(f"{ground.releases.project.name}/comparisons", "*.parquet")
    return sum(pq.read_metadata(pa.BufferReader(ground.store.read(file))).num_rows for file in files)


def print_findings(found: Findings) -> None:
    """Print a table."""
    lines = {
        "requests": (found.requests, ""),
        "failed": (found.failed, "0"),
        "different answers": (found.answers, "1"),
        "comparisons": (found.compared, ""),
        "p50 without the shadow, ms": (f"{found.p50:.1f}", ""),
        "p50 under the shadow, ms": (f"{found.shadow_p50:.1f}", ""),
        "p99 without the shadow, ms": (f"{found.p99:.1f}", ""),
        "p99 under the shadow, ms": (f"{found.shadow_p99:.1f}", f"{WORSE * found.p99:.1f}"),
    }
    print_table(lines, found.failures)


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="turns with the shadow, and as many without")
    parser.add_argument("--rate", type=float, default=50, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10, help="of one turn")
    chosen = parser.parse_args(arguments)
    with start_serving() as ground:
        found = measure(ground, chosen.rounds, chosen.rate, chosen.seconds)
    print_findings(found)
    return found


if __name__ == "__main__":
    sys.exit(0 if main().kept else 1)
