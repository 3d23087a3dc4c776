"""How well the out-of-distribution score tells odd images from others, what abstaining costs, and how long it takes.

    .venv/bin/python -m benchmarks.ood_scores

Each seed trains the pipeline's small network on other photographs of digits. Area under the ROC curve against healthy
traffic, for the score of a release, its two parts, and the distance to the fifth nearest certified image (Sun et al.,
"Out-of-distribution detection with deep nearest neighbors", ICML 2022). Beside it the accuracy without abstention, and
the share of images that a limit of 1 leaves unanswered: where most answers are right, it should be small.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from benchmarks.digit_network import Answers, Split, ask, photograph_digits, teach
from benchmarks.shifted_digits import CORRUPTED, HEALTHY, NOISE, SHAPES, WORN, shift
from include.vision.ood import OodScore, fit_ood

SEEDS = 3
NEIGHBOURS = 5
NEW_CLASS = "a new class"
KINDS = (SHAPES, NOISE, *CORRUPTED, *WORN)
TIMED = 2000
# A shift that costs less accuracy than this need not be seen.
HARMFUL = 0.10

Scorer = Callable[[Answers], NDArray[np.float64]]


def make_scorers(certified: Answers) -> dict[str, Scorer]:
    """Fit every score to the certified images of a release."""
    score = fit(certified)
    neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(certified.embeddings)
    return {
        "score": lambda found: score.measure(found.embeddings, found.probabilities.max(axis=1)),
        "distance": lambda found: score.clusters.measure(found.embeddings.astype(np.float64)),
        "doubt": lambda found: 1 - found.probabilities.max(axis=1),
        "neighbour": lambda found: neighbours.kneighbors(found.embeddings)[0][:, -1],
    }


def fit(certified: Answers) -> OodScore:
    """Fit the score that serves."""
    answers = [str(one) for one in certified.probabilities.argmax(axis=1)]
    score = fit_ood(certified.embeddings, answers, certified.probabilities.max(axis=1))
    assert score is not None  # noqa: S101
    return score


def play(seed: int, epochs: int) -> Iterator[tuple[str, float, float, dict[str, float]]]:
    """Yield of each kind of traffic its accuracy, the share above 1, and the area under the curve by score."""
    train, certified, traffic = photograph_digits(seed)
    graph = teach(train, certified, epochs)
    scorers, healthy = make_scorers(ask(graph, certified.images)), ask(graph, traffic.images)
    yield HEALTHY, *_measure(healthy, traffic.labels, scorers), {}
    for kind in KINDS:
        shifted = shift(kind, traffic, seed)
        found = ask(graph, shifted.images)
        labels = np.full(len(shifted.labels), -1) if kind in (SHAPES, NOISE) else shifted.labels
        yield kind, *_measure(found, labels, scorers), _compare(healthy, found, scorers)
    known = [split.take(np.flatnonzero(split.labels != 9)) for split in (train, certified, traffic)]
    graph = teach(*known[:2], epochs)
    scorers, healthy = make_scorers(ask(graph, known[1].images)), ask(graph, known[2].images)
    new = ask(graph, traffic.take(np.flatnonzero(traffic.labels == 9)).images)
    yield NEW_CLASS, *_measure(new, np.full(len(new.probabilities), 9), scorers), _compare(healthy, new, scorers)


def _measure(found: Answers, labels: NDArray[np.int64], scorers: dict[str, Scorer]) -> tuple[float, float]:
    right = found.probabilities.argmax(axis=1) == labels
    return float(right.mean()), float((scorers["score"](found) > 1).mean())


def _compare(healthy: Answers, odd: Answers, scorers: dict[str, Scorer]) -> dict[str, float]:
    truth = np.repeat([0, 1], [len(healthy.probabilities), len(odd.probabilities)])
    return {
        name: float(roc_auc_score(truth, np.concatenate([scorer(healthy), scorer(odd)])))
        for name, scorer in scorers.items()
    }


def time_score(certified: Answers) -> dict[int, float]:
    """Return the microseconds an image takes, by how many are scored at once."""
    score, times = fit(certified), {}
    for batch in (1, 32):
        embeddings, sure = certified.embeddings[:batch], certified.probabilities[:batch].max(axis=1)
        started = time.perf_counter()
        for _ in range(TIMED):
            score.measure(embeddings, sure)
        times[batch] = (time.perf_counter() - started) / TIMED / batch * 1e6
    return times


def main(seeds: int = SEEDS, epochs: int = 12) -> bool:
    """Print the table, and tell whether what does harm is told from what does not."""
    found = defaultdict(list)
    for seed in range(seeds):
        for kind, *numbers in play(seed, epochs):
            found[kind].append(numbers)
    title = f"AUROC, mean of {seeds} networks; silent: above 1; harmful: {HARMFUL:.0%} of the answers lost"
    table = Table(title=title, title_justify="left")
    names = list(found[NEW_CLASS][0][-1])
    for index, heading in enumerate(("traffic", "right", "silent", *names)):
        table.add_column(heading, justify="right" if index else "left")
    healthy = float(np.mean([accuracy for accuracy, _, _ in found[HEALTHY]]))
    harmful = []
    for kind, rows in found.items():
        accuracy, unanswered = (float(np.mean([row[place] for row in rows])) for place in (0, 1))
        areas = [float(np.mean([row[2][name] for row in rows])) for name in names if rows[0][2]]
        table.add_row(kind, f"{accuracy:.1%}", f"{unanswered:.1%}", *(f"{area:.3f}" for area in areas))
        harmful += [areas] if areas and accuracy < healthy - HARMFUL else []
    means = np.mean(harmful, axis=0)
    table.add_section()
    table.add_row("mean of the harmful", "", "", *(f"{mean:.3f}" for mean in means))
    Console().print(table)
    certified: Split = photograph_digits(0)[1]
    chance = np.random.default_rng(0)
    drawn = Answers(
        chance.dirichlet(np.ones(10), len(certified.labels)), chance.normal(size=(len(certified.labels), 64))
    )
    Console().print(
        "microseconds an image:", {f"{batch} at once": round(us, 1) for batch, us in time_score(drawn).items()}
    )
    return bool(means[0] >= 0.9 and np.mean([unanswered for _, unanswered, _ in found[HEALTHY]]) <= 0.03)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
