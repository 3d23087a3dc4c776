"""What a second process does to a training: how far the loss curves part, and how much quicker an epoch is.

    .venv/bin/python -m benchmarks.distributed_training [--epochs 6] [--images 600] [--side 64] [--rounds 3]

Digits are learned with dropout, mix-up and varied images, first in one process, then in two, in turn. Their rounding
differs, and AdamW makes more of a difference with every step; so the curve of one process is also compared with itself
computed by other kernels (without oneDNN), which is what rounding alone does. The ratio is of the median epoch; what
starting processes costs once is printed, too. On a busy machine, or one with a single core, two are no quicker.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.resume_kill import CLASSES, read_digits
from include.project import TrainingConfig
from include.project.learning import AugmentationConfig
from include.training.epochs import Epoch
from include.training.optimise import fit_classifier

TOLERANCE = 0.05


@dataclass(frozen=True)
class Findings:
    """Largest differences of both loss curves, those of rounding alone, and what a second process gains and costs."""

    train_loss: float
    validation_loss: float
    rounding_train_loss: float
    rounding_validation_loss: float
    ratio: float
    start_seconds: float


def measure(epochs: int, images: int, side: int, rounds: int) -> Findings:
    """Train in one process and in two, in turn; compare the curves of the first round, and the epochs of all."""
    ratios, starts = [], []
    curves: dict[int, list[Epoch]] = {}
    for _ in range(rounds):
        seconds = {}
        for processes in (1, 2):
            began = time.monotonic()
            curve = _train(processes, epochs, images, side)
            curves.setdefault(processes, curve)
            seconds[processes] = statistics.median(epoch.seconds for epoch in curve)
            starts += [time.monotonic() - began - sum(epoch.seconds for epoch in curve)] * (processes - 1)
        ratios.append(seconds[1] / seconds[2])
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        rounded = _train(1, epochs, images, side)
    finally:
        torch.backends.mkldnn.enabled = True  # type: ignore[assignment]
    return Findings(
        *_compare(curves[1], curves[2]),
        *_compare(curves[1], rounded),
        ratio=statistics.median(ratios),
        start_seconds=statistics.median(starts),
    )


def _train(processes: int, epochs: int, images: int, side: int) -> list[Epoch]:
    augmentation = AugmentationConfig(mixup=0.2, brightness=0.2)
    training = TrainingConfig(
        epochs=epochs, image_size=side, dropout=0.3, augmentation=augmentation, processes=processes, device="cpu"
    )
    curve: list[Epoch] = []
    fit_classifier(training, len(CLASSES), *read_digits(images), curve.append)
    return curve


def _compare(one: Sequence[Epoch], other: Sequence[Epoch]) -> tuple[float, float]:
    pairs = list(zip(one, other, strict=True))
    train = max(abs(mine.train_loss - yours.train_loss) for mine, yours in pairs)
    return train, max(abs(mine.validation_loss - yours.validation_loss) for mine, yours in pairs)


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=600, help="digits, at most 1797")
    parser.add_argument("--side", type=int, default=64, help="pixels that they are enlarged to")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    found = measure(chosen.epochs, chosen.images, chosen.side, chosen.rounds)
    print("| largest difference over the epochs | 2 processes to 1 | limit | rounding alone |")
    print("|---|---|---|---|")
    print(f"| train loss | {found.train_loss:.1e} | {TOLERANCE} | {found.rounding_train_loss:.1e} |")
    print(f"| validation loss | {found.validation_loss:.1e} | {TOLERANCE} | {found.rounding_validation_loss:.1e} |")
    print(f"\nepoch: {found.ratio:.2f} times as quick in two processes; to start them: {found.start_seconds:.1f} s")
    return found


if __name__ == "__main__":
    main()
