"""What training costs when its images come from the store: images per second beside the same images in memory.

    .venv/bin/python -m benchmarks.training_feed [--small 2000] [--large 200] [--epochs 3] [--rounds 6]

The same photographs lie in a Lance dataset and, decoded, in a plain list; `fit_classifier` trains on both in turn,
there and back, and the ratio is the median over the rounds, so that other work of the machine falls on all alike.
`kept` finds decoded what it read for the colour statistics, as datasets of up to 2 GiB of pixels do; `not kept` decodes
every image in every epoch, as larger ones do.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from benchmarks.photographs import write_photographs
from include.project import TrainingConfig
from include.training.optimise import fit_classifier
from include.training.samples import Samples
from include.vision.stored_images import KEPT_BYTES, StoredImages

CLASSES = 2
VALIDATION = 2
MEMORY = "memory"


def measure(count: int, side: int, epochs: int, rounds: int) -> dict[str, float]:
    """Return images per second of training from memory, and of the other places the ratio to it."""
    speeds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_photographs(Path(scratch) / "files", count, side)
        table = pa.table({"image": pa.array([path.read_bytes() for path in paths], pa.large_binary())})
        version = lance.write_dataset(table, f"{scratch}/images.lance")
        rows = np.arange(count)
        in_memory = list(StoredImages(version, rows))
        for number in range(rounds):
            places: dict[str, Sequence[NDArray[np.uint8]]] = {
                "kept": StoredImages(version, rows, KEPT_BYTES),
                MEMORY: in_memory,
                "not kept": StoredImages(version, rows, 0),
            }
            turn = list(places.items())[:: -1 if number % 2 else 1]
            speeds.append({name: count / _train(images, side, epochs) for name, images in turn})
    ratios = {name: statistics.median(one[name] / one[MEMORY] for one in speeds) for name in ("kept", "not kept")}
    return {MEMORY: statistics.median(one[MEMORY] for one in speeds)} | ratios


def _train(images: Sequence[NDArray[np.uint8]], side: int, epochs: int) -> float:
    """Train, and return the seconds of the median epoch."""
    targets = torch.arange(len(images)) % CLASSES
    train, validation = Samples(images, targets), Samples(images[:VALIDATION], targets[:VALIDATION])
    seconds: list[float] = []
    training = TrainingConfig(epochs=epochs, image_size=side)
    fit_classifier(training, CLASSES, train, validation, lambda epoch: seconds.append(epoch.seconds))
    return statistics.median(seconds)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, float]]:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=2_000, help="images of 64 x 64")
    parser.add_argument("--large", type=int, default=200, help="images of 224 x 224")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=6)
    chosen = parser.parse_args(arguments)
    results = []
    print("| images | memory | kept, to memory (goal 0.95) | not kept, to memory |")
    print("|---|---|---|---|")
    for side, count in ((64, chosen.small), (224, chosen.large)):
        found = measure(count, side, chosen.epochs, chosen.rounds)
        results.append(found)
        print(f"| {count} x {side}² | {found[MEMORY]:,.0f}/s | {found['kept']:.2f} | {found['not kept']:.2f} |")
    return results


if __name__ == "__main__":
    main()
