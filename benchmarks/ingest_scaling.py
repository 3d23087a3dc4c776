"""Whether ten times the images take ten times the time and no more memory.

    .venv/bin/python -m benchmarks.ingest_scaling [--images 4000] [--side 64] [--factor 10]

Each size is ingested (`ingest_shard` on all cores) and merged (`merge_shards`, `publish_merged`) in a process of its
own, after a small delivery that loads what is loaded once. Memory is the largest sum of the resident sets of that
process and all below it, looked at 50 times a second; pages they share count once for each.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.attempts import start_postgres
from benchmarks.photographs import write_photographs
from include.ledger import Ledger

WARM_UP = 200
LOOK_SECONDS = 0.02
INGEST = """
import sys, time
from pathlib import Path
from benchmarks.ingest_throughput import take_in
from benchmarks.photographs import make_project
from include.ledger import Ledger
from include.storage import Store

few, files, store, ledger = sys.argv[1:]
take_in(make_project(Path(few)), Store(store + "-few"), Ledger(ledger), publish=False)
started = time.perf_counter()
accepted = take_in(make_project(Path(files)), Store(store), Ledger(ledger), publish=False)
print(time.perf_counter() - started, accepted)
"""


@dataclass(frozen=True)
class Figures:
    """What one size took."""

    images: int
    accepted: int
    seconds: float
    peak_bytes: int


def measure(folder: Path, files: Path, images: int, ledger_uri: str) -> Figures:
    """Ingest a folder in a process of its own and watch its memory."""
    store = folder / f"store-{images}"
    command = [sys.executable, "-c", INGEST, folder / "few", files, store, ledger_uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watched, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, sum_memory(watched))
            time.sleep(LOOK_SECONDS)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"ingesting {images} images ended with exit code {process.returncode}")
    seconds, accepted = output.split()
    return Figures(images, int(accepted), float(seconds), peak)


def sum_memory(process: psutil.Process) -> int:
    """Sum up the resident sets of a process and of all below it, in bytes."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


def main(arguments: Sequence[str] | None = None) -> tuple[Figures, Figures]:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--factor", type=int, default=10)
    parser.add_argument("--ledger", default="", help="database to use; a server is started without")
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger_uri = chosen.ledger or stack.enter_context(start_postgres())
        Ledger(ledger_uri).migrate()
        write_photographs(folder / "few", WARM_UP, chosen.side)
        sizes = chosen.images, chosen.images * chosen.factor
        for images in sizes:
            write_photographs(folder / f"files-{images}", images, chosen.side, first=1)
        few, many = (measure(folder, folder / f"files-{images}", images, ledger_uri) for images in sizes)
    print("| images | seconds | images/s | peak memory |\n|---|---|---|---|")
    for found in (few, many):
        rate = found.images / found.seconds
        print(
            f"| {found.images} x {chosen.side}² | {found.seconds:.2f} | {rate:,.0f} | {found.peak_bytes / 1e6:.0f} MB |"
        )
    ratio = many.seconds / few.seconds / chosen.factor
    memory = many.peak_bytes / few.peak_bytes
    print(f"time per image x {ratio:.2f} (goal 0.90 to 1.10), peak memory x {memory:.2f} (goal 1)")
    return few, many


if __name__ == "__main__":
    main()
