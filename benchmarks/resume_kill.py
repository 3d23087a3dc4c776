"""What kill -9 does to a training: once at every epoch, before and after its checkpoint, then run again.

    .venv/bin/python -m benchmarks.resume_kill [--epochs 10] [--images 400]

Digits are learned with dropout, mix-up, a one-cycle schedule and early stopping, so that every state there is counts.
Each attempt is killed once and gone on with by another process; the weights' digest is compared with that of a training
nobody disturbed.
"""

import argparse
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from include.project import TrainingConfig
from include.project.learning import AugmentationConfig
from include.storage import Store, digest_bytes
from include.training.checkpoints import Checkpoints, Progress
from include.training.optimise import fit_classifier
from include.training.samples import Samples
from include.vision.weights import save_classifier

KEY = digest_bytes(b"benchmark")
CLASSES = tuple("0123456789")
ZOOM = 4
NEVER = 0


@dataclass(frozen=True)
class Findings:
    """Kills, how many ended in other weights, left something behind, or trained more epochs than were missing."""

    kills: int
    other_digests: int
    left_behind: int
    epochs_repeated: int
    seconds: float


class DeadlyCheckpoints(Checkpoints):
    """Kills its own process just before, or just after, it writes the checkpoint of an epoch."""

    before = after = NEVER
    written = 0

    def save(self, progress: Progress) -> None:
        """Write, and die if it is time."""
        number = len(progress.epochs)
        if number == self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        super().save(progress)
        self.written += 1
        if number == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


def read_digits(count: int) -> tuple[Samples, Samples]:
    """Return three quarters of some digits for training, the rest for validation."""
    digits = load_digits()
    grey = (digits.images[:count] * (255 / 16)).astype(np.uint8)
    images = np.stack([grey.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)] * 3, axis=-1)
    targets, border = torch.tensor(digits.target[:count]), count * 3 // 4
    return Samples(list(images[:border]), targets[:border]), Samples(list(images[border:]), targets[border:])


def train(store: str, epochs: int, images: int, before: int = NEVER, after: int = NEVER) -> tuple[str, int]:
    """Train, or go on; return the weights' digest and how many epochs this attempt itself had to train."""
    mixing = AugmentationConfig(mixup=0.2, brightness=0.2)
    training = TrainingConfig(epochs=epochs, patience=epochs, schedule="one_cycle", dropout=0.3, augmentation=mixing)
    checkpoints = DeadlyCheckpoints(Store(store), "digits", KEY)
    checkpoints.before, checkpoints.after = before, after
    classifier, _ = fit_classifier(training, len(CLASSES), *read_digits(images), lambda _: None, checkpoints)
    with tempfile.TemporaryDirectory() as scratch:
        digest = save_classifier(classifier, training, CLASSES, Path(scratch))
    checkpoints.remove()
    return digest, checkpoints.written


def measure(folder: Path, epochs: int, images: int) -> Findings:
    """Kill at every epoch, go on, and compare."""
    started = time.monotonic()
    expected, _ = train(str(folder / "undisturbed"), epochs, images)
    other = left = repeated = kills = 0
    points = [(moment, number) for moment in ("before", "after") for number in range(1, epochs + 1)]
    for moment, number in points:
        store = str(folder / f"{moment}-{number}")
        kills += _is_killed(store, epochs, images, {moment: number})
        digest, trained = train(store, epochs, images)
        other += digest != expected
        left += sum(path.is_file() for path in Path(store).rglob("*"))
        repeated += trained - (epochs - number + (moment == "before"))
    return Findings(kills, other, left, repeated, time.monotonic() - started)


def _is_killed(store: str, epochs: int, images: int, moment: dict[str, int]) -> bool:
    # A fork would inherit torch's threads, in whatever state they are.
    attempt = multiprocessing.get_context("spawn").Process(target=train, args=(store, epochs, images), kwargs=moment)
    attempt.start()
    attempt.join()
    return attempt.exitcode == -signal.SIGKILL


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Kill, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="epochs of a training; each is killed at twice")
    parser.add_argument("--images", type=int, default=400, help="digits, at most 1797")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="windhover-") as folder:
        findings = measure(Path(folder), chosen.epochs, chosen.images)
    lines = {
        "kill -9, then go on": findings.kills,
        "other weights": findings.other_digests,
        "files left behind": findings.left_behind,
        "epochs trained twice": findings.epochs_repeated,
        "seconds": f"{findings.seconds:.0f}",
    }
    for name, value in lines.items():
        print(f"{name:<24}{value}")
    return findings


if __name__ == "__main__":
    main()
