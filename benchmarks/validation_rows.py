"""How long one million manifest rows take to validate, and how much memory.

    .venv/bin/python -m benchmarks.validation_rows

The peer beside it is the least that could be done: the same 1,000,000 rows read from the same file, and the same
questions asked of them in bare pandas, without names of rows, words or verdicts. Each is measured in a process of its
own, with its imports counted in the memory and not in the time.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from include.contracts import ValidationReport
from include.project import Project
from include.vision.schema import IMAGES, MANIFEST_COLUMNS

ROOT = Path(__file__).parents[1]
ROWS = 1_000_000
SECONDS = 30
GIGABYTES = 4.0
DAY = "2026-11-02"
MOMENT = datetime(2026, 11, 2, 8, tzinfo=UTC)
PROJECT = Project(name="measured", classes=tuple("0123456789"))


def make_manifest(rows: int, seed: int = 17) -> pa.Table:
    """Make the manifest of a plausible partition, with every column that validation gets to see."""
    chance = np.random.default_rng(seed)
    schema = pa.schema([IMAGES.field(name) for name in MANIFEST_COLUMNS])
    columns = {
        "digest": [f"sha256:{number:064x}" for number in range(rows)],
        "partition": [DAY] * rows,
        "group": [f"specimen-{number // 3}" for number in range(rows)],
        "subject": [None] * rows,
        "label": [str(label) for label in chance.integers(0, 10, rows)],
        "known_at": [MOMENT] * rows,
        "labels": [[]] * rows,
        "split": ["train"] * rows,
        "source": [f"measured/{DAY}/images/shot-{number:07d}.png" for number in range(rows)],
        "observed_at": [MOMENT] * rows,
        "width": np.full(rows, 64),
        "height": np.full(rows, 48),
        "phash": chance.integers(0, 2**62, rows),
        "embedding": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(256), rows, [None, pa.py_buffer(chance.bytes(256 * rows))]
        ),
        "brightness": chance.uniform(0.4, 0.6, rows),
        "contrast": chance.uniform(0.15, 0.25, rows),
        "saturation": chance.uniform(0.2, 0.4, rows),
        "sharpness": chance.random(rows),
    }
    return pa.table([pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema)


def make_history(rows: int) -> list[ValidationReport]:
    """Give three earlier partitions of the same kind, so that every check has something to compare with."""
    from include.data.outliers import measure_rows

    measures = asdict(measure_rows(make_manifest(min(rows, 10_000), seed=1)))
    counts = {"seen": rows, "accepted": rows, "duplicates": 0, "quarantined": 0}
    empty = f"sha256:{0:064x}"
    return [
        ValidationReport(
            project=PROJECT.name, partition=f"2026-10-{day}", address="-", digest=empty, success=True,
            data_docs="-", **counts, **measures,
        )
        for day in (28, 29, 30)
    ]  # fmt: skip


def validate(path: Path) -> Callable[[], int]:
    """Import what validation needs and give the work to be timed; it returns the number of expectations."""
    from include.data.expectations import hold_rows
    from include.data.history import name_parameters
    from include.data.suites import load_suite

    history = make_history(pq.read_metadata(path).num_rows)

    def work() -> int:
        names = partial(name_parameters, DAY, history=history, classes=PROJECT.classes, now=MOMENT)
        outcomes, withdrawn = hold_rows(load_suite(PROJECT), pq.read_table(path), {}, names)
        broken = [outcome.report for outcome in outcomes if not outcome.report.success]
        if broken or withdrawn:
            raise SystemExit(f"the measured rows are meant to be sound: {broken}")
        return len(outcomes)

    return work


def scan(path: Path) -> Callable[[], int]:
    """Import pandas and give the same questions without Great Expectations; it returns their number."""
    from include.data.outliers import tabulate_rows

    def work() -> int:
        frame = tabulate_rows(pq.read_table(path), {})
        sizes = [frame[side].between(8, 10**6) for side in ("width", "height")]
        times = [frame["observed_at"].dt.floor("D") == DAY, frame["known_at"] >= frame["observed_at"]]
        known = [frame["label"].isin(PROJECT.classes), frame["split"].isin(["train", "validation", "test"])]
        shared = [frame["splits_of_group"] <= 1, frame["conflicting_label"].isna()]
        present = [frame[name].notna() for name in ("digest", "partition", "source", "split", "group", "observed_at")]
        units = [frame[name].between(0, 1) for name in ("brightness", "contrast", "saturation")]
        measured = [frame[name] for name in ("brightness", "contrast", "saturation", "width", "height")]
        near = [(one - one.median()).abs() <= 5 * one.std() + 1 for one in measured]
        unique = [frame["digest"].is_unique, frame["source"].is_unique]
        answers = [*sizes, *times, *known, *shared, *present, *units, *near]
        if not all(bool(answer.all()) for answer in answers) or not all(unique):
            raise SystemExit("the measured rows are meant to be sound")
        return len(answers) + len(unique)

    return work


def measure(work: str, path: Path) -> dict[str, float]:
    """Do one of the two in a fresh process: seconds, peak memory in GB, questions asked."""
    command = [sys.executable, "-m", "benchmarks.validation_rows", work, str(path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report_work(work: str, path: Path) -> None:
    """Time one of the two in this process and print what it took."""
    prepared = {"validate": validate, "scan": scan}[work](path)
    started = time.perf_counter()
    questions = prepared()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "gigabytes": read_peak(), "questions": questions}))


def read_peak() -> float:
    """Peak memory of this process in GB; `ru_maxrss` would count that of the process which started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def main(rows: int = ROWS) -> bool:
    """Print both in one table, and tell whether the goals are met."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        pq.write_table(make_manifest(rows), path)
        ours, peer = measure("validate", path), measure("scan", path)
    table = Table(title=f"{rows:,} manifest rows; goal: {SECONDS} s, {GIGABYTES:g} GB", title_justify="left")
    for heading in ("", "questions", "seconds", "peak GB", "x bare pandas"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, took in (("Great Expectations suite", ours), ("bare pandas, no names", peer)):
        numbers = [f"{took['seconds']:.1f}", f"{took['gigabytes']:.2f}", f"{took['seconds'] / peer['seconds']:.1f}"]
        table.add_row(name, str(int(took["questions"])), *numbers)
    Console().print(table)
    return ours["seconds"] <= SECONDS and ours["gigabytes"] <= GIGABYTES


if __name__ == "__main__":
    if len(sys.argv) > 1:
        report_work(sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(0 if main() else 1)
