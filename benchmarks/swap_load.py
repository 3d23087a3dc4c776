"""What a switch of releases costs whoever asks meanwhile, under a load that waits for nobody.

    .venv/bin/python -m benchmarks.swap_load [--swaps 100] [--rate 50] [--seconds 6]

Two serving processes behind nginx are asked at a constant rate while releases are switched, as a rollout does: every
process loads and proves the next one beside the one that answers, then the plan names it champion. Each switch brings
a release that no process holds. Every request counts, those during a switch included.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.open_loop import Answer, OpenLoop, find_percentile
from benchmarks.serving_ground import ServingGround, Switch, print_table, start_serving

# More than a plan names, so that the next one is always to be loaded.
RELEASES = 5
TOLERANCE = 1e-4
WORSE = 2.0


@dataclass(frozen=True)
class Findings:
    """Counts of requests, and their latencies in milliseconds."""

    swaps: int
    requests: int
    failed: int
    wrong: int
    in_switches: int
    steady_p50: float
    steady_p99: float
    switch_p50: float
    switch_p99: float
    slowest_switch: float
    failures: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nobody noticed."""
        return not self.failed and not self.wrong and self.switch_p99 <= WORSE * self.steady_p99


def measure(ground: ServingGround, swaps: int, rate: float, seconds: float) -> Findings:
    """Switch a release every so many seconds under load."""
    releases = [ground.releases.make(version) for version in range(1, min(swaps, RELEASES - 1) + 2)]
    switches = [ground.switch(releases[0], "first")]
    with OpenLoop(ground.question, rate) as load:
        time.sleep(seconds)
        for number in range(1, swaps + 1):
            begun = time.monotonic()
            switches.append(ground.switch(releases[number % len(releases)], f"swap {number}"))
            time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
    return assess(load.answers, switches, ground.releases.confidences)


def assess(answers: Sequence[Answer], switches: Sequence[Switch], confidences: dict[str, float]) -> Findings:
    """Count what failed, and what was answered by another release than the one whose time it was."""
    good = [answer for answer in answers if not answer.failure]
    during: list[Answer] = []
    steady: list[Answer] = []
    for answer in good:
        is_during = any(_overlaps(answer, one.begun, one.followed) for one in switches[1:])
        (during if is_during else steady).append(answer)
    failures = tuple(answer.failure for answer in answers if answer.failure)
    return Findings(
        swaps=len(switches) - 1,
        requests=len(answers),
        failed=len(failures),
        wrong=sum(not _is_right(answer, switches, confidences) for answer in good),
        in_switches=len(during),
        steady_p50=find_percentile(steady, 50),
        steady_p99=find_percentile(steady, 99),
        switch_p50=find_percentile(during, 50),
        switch_p99=find_percentile(during, 99),
        slowest_switch=max(one.followed - one.begun for one in switches),
        failures=failures,
    )


def _overlaps(answer: Answer, begin: float, end: float) -> bool:
    return answer.due <= end and answer.ended >= begin


def _is_right(answer: Answer, switches: Sequence[Switch], confidences: dict[str, float]) -> bool:
    """Whether the release was one to answer then, and said what it says of this image."""
    ends = [one.followed for one in switches[1:]] + [float("inf")]
    allowed = {one.release for one, end in zip(switches, ends, strict=True) if _overlaps(answer, one.planned, end)}
    return answer.release in allowed and abs(answer.confidence - confidences[answer.release]) <= TOLERANCE


def print_findings(found: Findings) -> None:
    """Print a table."""
    lines = {
        "switches": (found.swaps, ""),
        "requests": (found.requests, ""),
        "of them during a switch": (found.in_switches, ""),
        "failed": (found.failed, "0"),
        "answered by a wrong release": (found.wrong, "0"),
        "p50 steady, ms": (f"{found.steady_p50:.1f}", ""),
        "p50 during a switch, ms": (f"{found.switch_p50:.1f}", ""),
        "p99 steady, ms": (f"{found.steady_p99:.1f}", ""),
        "p99 during a switch, ms": (f"{found.switch_p99:.1f}", f"{WORSE * found.steady_p99:.1f}"),
        "slowest switch, s": (f"{found.slowest_switch:.1f}", ""),
    }
    print_table(lines, found.failures)


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=100, help="switches from one release to another")
    parser.add_argument("--rate", type=float, default=50, help="requests per second")
    parser.add_argument("--seconds", type=float, default=6, help="from one switch to the next")
    chosen = parser.parse_args(arguments)
    with start_serving() as ground:
        found = measure(ground, chosen.swaps, chosen.rate, chosen.seconds)
    print_findings(found)
    return found


if __name__ == "__main__":
    sys.exit(0 if main().kept else 1)
