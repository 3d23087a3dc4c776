"""What it costs to measure an image in service, to profile a window, and to read a year of windows.

    .venv/bin/python -m benchmarks.window_profiles [--predictions 10000] [--days 365] [--windows 96] [--rounds 5]

The log of the window is written as serving processes write it, a file for ten answers; `compacted` reads the same
answers once the day was joined into one file. Every figure is the fastest of the rounds.
"""

import argparse
import tempfile
import timeit
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from include.contracts import FeatureProfileReport, ProfileReport, SliceProfileReport
from include.monitoring.profile import profile_predictions
from include.monitoring.series import read_series, record_profile
from include.predictions import STATISTICS, append_rows, compact_log, read_predictions
from include.project import Project, load_project
from include.settings import REPOSITORY
from include.storage import Store
from include.vision.statistics import image_statistics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RELEASE = f"sha256:{'a' * 64}"
ROWS = 10
SIDES = (64, 512)
CHARTED = 1_000


def write_log(project: Project, predictions: int, store: Store) -> None:
    """Log an hour of answers of a network with ten classes and 64 features."""
    chance = np.random.default_rng(0)
    plain = {"project": project.name, "release": RELEASE, "model_version": 1, "answered_by": "champion"}
    for first in range(0, predictions, ROWS):
        rows = [
            plain
            | {"request_id": f"{project.name}-{number}", "time": START + number * HOUR / predictions, "predicted": "7"}
            | {"probabilities": chance.dirichlet([1.0] * 10).tolist(), "embedding": chance.random(64).tolist()}
            | dict(zip((*STATISTICS, "confidence", "latency_ms"), chance.random(13).tolist(), strict=True))
            for number in range(first, first + ROWS)
        ]
        append_rows(store, "predictions", f"{rows[0]['time']:%Y%m%dT%H%M%S}-{first:032x}", rows)


def write_series(project: Project, days: int, windows: int, store: Store) -> None:
    """Record the profiles of one day, and put copies of it on the days before."""
    numbers = {"mean": 0.51234567, "deviation": 0.12345678, "low": 0.1, "median": 0.5123456, "high": 0.98765432}
    features = tuple(FeatureProfileReport(feature=name, **numbers) for name in (*STATISTICS, "confidence"))
    parts = {"slice": "predicted", "predictions": 15, "confidence": 0.98765432, "abstained": 0}
    parts |= {"mix": {"7": 1.0}, "means": dict.fromkeys((*STATISTICS, "confidence", "latency_ms"), 0.5123)}
    slices = tuple(SliceProfileReport(value=str(name), **parts) for name in range(10))
    length = timedelta(days=1) / (windows + 1)
    for number in range(windows):
        start = START.replace(hour=0) + number * length
        window = {"project": project.name, "start": start, "end": start + length, "release": RELEASE, "address": "a"}
        measured = {"predictions": 150, "features": features, "slices": slices}
        record_profile(store, ProfileReport(**window, **measured))
    (address,) = store.list(project.name)
    content = store.read(address).decode()
    for number in range(1, days):
        names = f"{START:%Y-%m-%d}", f"{START - timedelta(days=number):%Y-%m-%d}"
        store.write(address.replace(*names), content.replace(*names).encode())


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--windows", type=int, default=96, help="a day")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)

    def fastest(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, number=1, repeat=chosen.rounds))

    project = load_project(REPOSITORY / "include" / "projects" / "digits.yaml")
    found = {}
    for side in SIDES:
        image = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
        found[f"statistics of an image of {side}², ms"] = 1e3 * fastest(partial(image_statistics, image))
    with tempfile.TemporaryDirectory() as folder:
        store, window = Store(folder), (project.name, START, START + HOUR)
        write_log(project, chosen.predictions, store)
        found["reading the window's log, s"] = fastest(lambda: read_predictions(store, *window))
        compact_log(store, project.name, START.date())
        found["the same, compacted, s"] = fastest(lambda: read_predictions(store, *window))
        found["profiling it, s"] = fastest(lambda: profile_predictions(project, *window[1:], store))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        write_series(project, chosen.days, chosen.windows, store)
        since = START - timedelta(days=chosen.days)
        found["reading the series for a chart, s"] = fastest(lambda: read_series(store, project.name, since, CHARTED))
    print(f"| {chosen.predictions:,} predictions, {chosen.days} days of {chosen.windows} windows | |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.3g} |")
    return found


if __name__ == "__main__":
    main()
