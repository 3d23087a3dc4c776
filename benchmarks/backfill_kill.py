"""A backfill in any order, overlapping, with kills, against the same days in sequence.

    .venv/bin/python -m benchmarks.backfill_kill [--days 60] [--kills 20] [--together 3] [--images 8]

Every day is taken from its delivery to the dataset by a process of its own, several at once and in shuffled order;
some days by two processes at the same time, as when Airflow runs a task twice. So many of them are killed with
kill -9 at a random moment and run again. The result is held against one process that takes the days in order.
"""

import argparse
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.attempts import (
    Ground,
    attempt,
    carry,
    keep_silent,
    list_keys,
    open_ground,
    print_findings,
    read_members,
    read_rows,
    start_postgres,
)
from include.contracts import DatasetRef
from include.ledger.datasets import find_latest_dataset, list_partitions

TWICE = 0.1
TRIES = 8
SEED = 17


@dataclass
class Findings:
    """How the backfill ended beside the sequential run."""

    kills: int = 0
    overtaken: int = 0
    same_digest: bool = False
    same_rows: bool = False
    lost: int = 0
    doubled: int = 0
    days_missing: int = 0
    members_wrong: bool = False
    failures: list[str] = field(default_factory=list)
    sequential_seconds: float = 0.0
    seconds: float = 0.0


class Backfill:
    """Days on their way, several at once.

    :param seconds: Longest time after which an attempt that is to be killed is.
    """

    def __init__(self, ground: Ground, seconds: float, kills: int, order: Sequence[str], seed: int) -> None:
        self.findings = Findings()
        self._ground = ground
        self._lock = threading.Lock()
        chance = random.Random(seed)  # noqa: S311 - no secret
        doomed = chance.sample(range(len(order)), min(kills, len(order)))
        self._tasks = [(day, chance.uniform(0, seconds) if n in doomed else None) for n, day in enumerate(order)]

    def run(self, together: int) -> None:
        """Take every day to the dataset, so many at once."""
        with ThreadPoolExecutor(together) as threads:
            list(threads.map(self._take, *zip(*self._tasks, strict=True)))

    def _take(self, day: str, kill_after: float | None) -> None:
        reason = ""
        for _ in range(TRIES):
            running = attempt(carry, self._ground, day)
            if kill_after is not None and running.reach("ingest"):
                time.sleep(kill_after)
                running.kill()
            kind, text = running.finish()
            with self._lock:
                killed = kind == "" and kill_after is not None
                self.findings.kills += killed
                self.findings.overtaken += text.startswith("StaleAttemptError")
            # One that was too quick to be killed is run again, and killed sooner.
            kill_after = None if killed or kill_after is None else kill_after / 2
            if kind == "done" and kill_after is None:
                return
            reason = text or f"died in {list(running.started)}"
        self.findings.failures.append(f"{day}: {reason}")


def measure(folder: Path, ledger_uri: str, *, days: int, kills: int, together: int, images: int) -> Findings:
    """Run the days in order, then shuffled, overlapping and killed; compare what both leave."""
    ground, keys = open_ground(folder, ledger_uri, days, images)
    started = time.monotonic()
    expected = [carry(ground, day, keep_silent) for day in keys][-1]
    rows = read_rows(ground, expected)
    sequential = time.monotonic() - started

    other = ground.move(folder / "backfilled")
    other.empty_ledger()
    order = _shuffle(keys)
    # Started beside others, an attempt takes longer than in sequence.
    backfill = Backfill(other, together * sequential / days, kills, order, SEED)
    started = time.monotonic()
    backfill.run(together)
    findings = backfill.findings
    findings.seconds, findings.sequential_seconds = time.monotonic() - started, sequential
    findings.days_missing = len(set(keys) - set(list_partitions(other.ledger, other.project.name)))
    _compare(other, findings, expected, rows, find_latest_dataset(other.ledger, other.project.name))
    return findings


def _compare(ground: Ground, findings: Findings, expected: DatasetRef, rows: object, found: DatasetRef | None) -> None:
    if found is None:
        findings.failures.append("nothing was published")
        return
    other = read_rows(ground, found)
    findings.same_digest = found.digest == expected.digest
    findings.same_rows = other.equals(rows)
    wanted, held = Counter(list_keys(rows)), Counter(list_keys(other))
    findings.lost = (wanted - held).total()
    findings.doubled = (held - wanted).total()
    findings.members_wrong = read_members(ground) != list_keys(other)


def _shuffle(keys: Sequence[str]) -> list[str]:
    """Shuffle the days, some of them twice in a row so that both run at once."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    twice = set(chance.sample(list(keys), max(1, round(TWICE * len(keys)))))
    order = chance.sample(list(keys), len(keys))
    return [day for one in order for day in ([one, one] if one in twice else [one])]


def report(findings: Findings) -> None:
    """Print the comparison as a table."""
    lines = {
        "killed with kill -9": findings.kills,
        "refused as overtaken": findings.overtaken,
        "digest": "that of the sequential run" if findings.same_digest else "DIFFERS",
        "rows": "those of the sequential run" if findings.same_rows else "DIFFER",
        "rows lost": findings.lost,
        "rows doubled": findings.doubled,
        "days missing": findings.days_missing,
        "ledger": "names other rows" if findings.members_wrong else "names these rows",
        "did not complete": len(findings.failures),
        "seconds": f"{findings.seconds:.0f}, in sequence {findings.sequential_seconds:.0f}",
    }
    print_findings(lines, findings.failures)


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Backfill, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--together", type=int, default=3, help="processes at once")
    parser.add_argument("--images", type=int, default=8, help="images of a day")
    parser.add_argument("--ledger", default="", help="database to use, which is EMPTIED; a server is started without")
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windhover-")))
        uri = chosen.ledger or stack.enter_context(start_postgres())
        findings = measure(
            folder, uri, days=chosen.days, kills=chosen.kills, together=chosen.together, images=chosen.images
        )
    report(findings)
    return findings


if __name__ == "__main__":
    main()
