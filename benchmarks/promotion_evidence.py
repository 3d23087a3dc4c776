"""How often an equal model is promoted, how often a better one is, and how often the interval holds the truth.

    .venv/bin/python -m benchmarks.promotion_evidence

Both models are planted: each image of a made-up test set has a difficulty that both share, and each model answers it
right with a known chance, so the true difference in accuracy is known. The same pairs go through `compare_models` and
`decide_promotion` under two policies: the default, which asks for significance, and one that compares point estimates.
In bursts, four images in a row are of one specimen, and a model is right about all of them or about none.
"""

import sys
import tempfile
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.table import Table

from include.contracts import ComparisonReport, DatasetRef, EvaluationReport, ModelRef
from include.evaluation.answers import Answers, publish_answers
from include.evaluation.compare import compare_models
from include.evaluation.decide import decide_promotion
from include.evaluation.totals import tabulate_costs
from include.project import Project, PromotionPolicy
from include.storage import Store, digest_bytes
from include.vision.images import ImageSet, split_digest

CLASSES = tuple("0123456789")
GAINS = (0.0, 0.01, 0.02, 0.04)
SIZES = (200, 1000)
PAIRS = 200
CHAMPION = 0.90
# Of an interval of 95 %, and of its upper side alone: what three standard errors of so few pairs leave room for.
COVERAGE = 0.95 - 3 * np.sqrt(0.95 * 0.05 / PAIRS)
FALSE_PROMOTIONS = 0.025 + 3 * np.sqrt(0.025 * 0.975 / PAIRS)
POLICIES = {"point": PromotionPolicy(require_significance=False), "default": PromotionPolicy()}
BURST = 4


@dataclass
class Outcomes:
    """What became of the pairs of one true difference and one size of the test set."""

    promoted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(POLICIES, 0))
    undecided: int = 0
    covered: int = 0


def answer(
    name: str, right: np.ndarray, true: np.ndarray, burst: int, chance: np.random.Generator, store: Store
) -> EvaluationReport:
    """Publish the answers of a model that is right where it is said to be, and report on them."""
    said = np.where(right, true, (true + chance.integers(1, len(CLASSES), len(true))) % len(CLASSES))
    probabilities = np.full((len(true), len(CLASSES)), 0.1 / (len(CLASSES) - 1))
    probabilities[np.arange(len(true)), said] = 0.9
    names = np.array(CLASSES)
    answers = Answers(names[true].tolist(), names[said].tolist(), probabilities, CLASSES, tabulate_costs({}, CLASSES))
    digest = digest_bytes(name.encode())
    dataset = DatasetRef(project="p", address="a", version=1, digest=digest, images=1, labelled=1)
    model = ModelRef(project="p", key=digest, run_id="r", weights=digest, dataset=dataset)
    digests, specimens = ([str(index // size) for index in range(len(true))] for size in (1, burst))
    test = ImageSet([], answers.labels, digests, [], specimens)
    return EvaluationReport(
        model=model, test_digest=split_digest(test), images=len(true), accuracy=float(right.mean()),
        macro_f1=float(right.mean()), worst_class_recall=1.0, recall_by_class={}, accuracy_by_partition={},
        answers=publish_answers(model, test, answers, store),
    )  # fmt: skip


def make_pair(
    images: int, gain: float, chance: np.random.Generator, store: Store, burst: int = 1
) -> tuple[EvaluationReport, ...]:
    """Make candidate and champion whose true accuracies differ by `gain`; most of their errors are the same images.

    :param burst: Images of one specimen; `images` is a multiple of it.
    """
    specimens = images // burst
    true = chance.integers(len(CLASSES), size=specimens).repeat(burst)
    hard = chance.random(specimens) < 0.2
    reports = []
    for name, accuracy in (("candidate", CHAMPION + gain), ("champion", CHAMPION)):
        # All errors fall on the hard fifth of the images, where a model is right with the chance that is left.
        right = ~hard | (chance.random(specimens) < 1 - (1 - accuracy) / 0.2)
        reports.append(answer(name, right.repeat(burst), true, burst, chance, store))
    return tuple(reports)


def try_pairs(images: int, gain: float, pairs: int, burst: int = 1) -> Outcomes:
    """Compare and judge pairs of models that differ by a known gain."""
    outcomes, chance = Outcomes(), np.random.default_rng(17)
    project = Project(name="p", classes=CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(pairs):
            candidate, champion = make_pair(images, gain, chance, Store(folder), burst)
            compared = compare_models(candidate, champion, project, Store(folder))
            accuracy: ComparisonReport = compared[0]
            outcomes.covered += accuracy.low <= gain <= accuracy.high
            for name, policy in POLICIES.items():
                verdict = decide_promotion(candidate, champion, policy, compared).verdict
                outcomes.promoted[name] += verdict == "promote"
                outcomes.undecided += verdict == "not_enough_evidence"
    return outcomes


def main(pairs: int = PAIRS) -> bool:
    """Print one line for each true difference and size, and tell whether equal models stay out."""
    table = Table(
        title=f"{pairs} planted pairs a line, champion right with chance {CHAMPION:.2f}; goals: the interval holds the "
        f"truth in >= {COVERAGE:.1%}, equal models promoted by default in <= {FALSE_PROMOTIONS:.1%}",
        title_justify="left",
    )
    for heading in ("images", "bursts of", "true gain", "interval holds", "point", "default", "not enough"):
        table.add_column(heading, justify="right")
    sound = True
    for images, burst, gain in [(size, 1, gain) for size in SIZES for gain in GAINS] + [(1000, BURST, 0.0)]:
        outcomes = try_pairs(images, gain, pairs, burst)
        shares = [outcomes.covered, *outcomes.promoted.values(), outcomes.undecided]
        table.add_row(str(images), str(burst), f"{gain:+.2f}", *(f"{share / pairs:.1%}" for share in shares))
        sound &= outcomes.covered / pairs >= COVERAGE
        sound &= gain > 0 or outcomes.promoted["default"] / pairs <= FALSE_PROMOTIONS
    Console().print(table)
    return bool(sound)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
