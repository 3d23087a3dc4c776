"""How far estimates of accuracy without labels are off, and where they fail.

    .venv/bin/python -m benchmarks.accuracy_estimate

Each seed trains the pipeline's small network on other photographs of digits; 300 images are certified, and windows of
200 are estimated. Beside our estimate stand the mean calibrated confidence of the same windows without a look at how
odd the images are (as NannyML's CBPE), average thresholded confidence (Garg et al., ICLR 2022) and difference of
confidences (Guillory et al., ICCV 2021). In the last rows nothing about the images tells: labels mean something else.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.digit_network import Answers, ask, photograph_digits, teach
from benchmarks.ood_scores import fit
from benchmarks.shifted_digits import CORRUPTED, HEALTHY, PRIORS, WORN, shift
from include.monitoring.estimate import Estimate, Reference, estimate_accuracy

SEEDS = 3
WINDOWS = 20
SIZE = 200
CLASSES = 10
CONCEPT = "two classes swapped names"
KINDS = (HEALTHY, PRIORS, *CORRUPTED, *WORN, CONCEPT)
METHODS = ("ours", "CBPE", "ATC", "DoC")


class Window(NamedTuple):
    """The truth about one window, and what was estimated."""

    accuracy: float
    estimate: Estimate
    others: tuple[float, ...]  # by METHODS, but the first

    @property
    def errors(self) -> tuple[float, ...]:
        """How far each method is off."""
        return tuple(abs(one - self.accuracy) for one in (self.estimate.accuracy, *self.others))

    @property
    def is_held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.estimate.low <= self.accuracy <= self.estimate.high


def play(seed: int, epochs: int, windows: int) -> Iterator[tuple[str, Window]]:
    """Yield windows of each kind of traffic of one network."""
    train, certified, traffic = photograph_digits(seed)
    graph = teach(train, certified, epochs)
    known = ask(graph, certified.images)
    score = fit(known)
    reference = Reference(_sure(known), known.probabilities.argmax(axis=1) == certified.labels)
    chance = np.random.default_rng(seed)
    for kind in KINDS:
        shifted = shift(kind, traffic, seed)
        labels = np.array([1, 0, *range(2, CLASSES)])[shifted.labels] if kind == CONCEPT else shifted.labels
        found = ask(graph, shifted.images)
        right, sure = found.probabilities.argmax(axis=1) == labels, _sure(found)
        ood = score.measure(found.embeddings, found.probabilities.max(axis=1))
        for _ in range(windows):
            chosen = chance.choice(len(right), SIZE, replace=False)
            estimate = estimate_accuracy(reference, sure[chosen], ood[chosen], CLASSES)
            yield kind, Window(float(right[chosen].mean()), estimate, _estimate_otherwise(reference, sure[chosen]))


def _estimate_otherwise(reference: Reference, sure: NDArray[np.float64]) -> tuple[float, ...]:
    accuracy = float(reference.right.mean())
    threshold = np.quantile(reference.confidence, 1 - accuracy)
    unseen = estimate_accuracy(reference, sure, np.zeros(len(sure)), CLASSES).accuracy
    difference = accuracy - float(reference.confidence.mean() - sure.mean())
    return unseen, float((sure >= threshold).mean()), min(1.0, difference)


def _sure(answers: Answers) -> NDArray[np.float64]:
    return answers.probabilities.max(axis=1).astype(np.float64)


def main(seeds: int = SEEDS, epochs: int = 12, windows: int = WINDOWS) -> bool:
    """Print the table, and tell whether the estimate holds where it says it does, and beats the others elsewhere."""
    found: dict[str, list[Window]] = defaultdict(list)
    for seed in range(seeds):
        for kind, window in play(seed, epochs, windows):
            found[kind].append(window)
    title = f"mean absolute error; {seeds} networks, {windows} windows of {SIZE} each"
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(("traffic", "right", *METHODS, "interval", "holds")):
        table.add_column(heading, justify="right" if index else "left")
    for kind, rows in found.items():
        middle = (np.mean([getattr(row.estimate, end) for row in rows]) for end in ("low", "high"))
        numbers = [np.mean([row.accuracy for row in rows]), *np.mean([row.errors for row in rows], axis=0)]
        interval = "-".join(f"{end:.2f}" for end in middle)
        table.add_row(kind, *(f"{one:.3f}" for one in numbers), interval, f"{_count_held(rows):.0%}")
    seen = [row for kind, rows in found.items() if kind != CONCEPT for row in rows]
    means = np.mean([row.errors for row in seen], axis=0)
    table.add_section()
    table.add_row("all but the last", "", *(f"{one:.3f}" for one in means), "", f"{_count_held(seen):.0%}")
    Console().print(table)
    healthy = found[HEALTHY] + found[PRIORS]
    return _count_held(healthy) >= 0.9 and bool(means[0] <= means[1:].min())


def _count_held(rows: list[Window]) -> float:
    return float(np.mean([row.is_held for row in rows]))


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
