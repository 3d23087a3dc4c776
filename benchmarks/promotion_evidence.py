"""How often an equal model is promoted, how often a better one is, and how often the interval holds the truth.

    .venv/bin/python -m benchmarks.promotion_evidence

Both models are planted: each image of a made-up test set has a difficulty that both share, and each model answers it
right with a known chance, so the true difference in accuracy is known. The same pairs go through `compare_models` and
`decide_promotion` under two policies: the default, which compares point estimates, and `require_significance`.
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

CLASSES = tuple("0123456789")
GAINS = (0.0, 0.01, 0.02, 0.04)
SIZES = (200, 1000)
PAIRS = 200
CHAMPION = 0.90
# Of an interval of 95 %, and of its upper side alone: what three standard errors of so few pairs leave room for.
COVERAGE = 0.95 - 3 * np.sqrt(0.95 * 0.05 / PAIRS)
FALSE_PROMOTIONS = 0.025 + 3 * np.sqrt(0.025 * 0.975 / PAIRS)
POLICIES = {"point": PromotionPolicy(), "significance": PromotionPolicy(require_significance=True)}


@dataclass
class Outcomes:
    """What became of the pairs of one true difference and one size of the test set."""

    promoted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(POLICIES, 0))
    undecided: int = 0
    covered: int = 0


def answer(
    name: str, right: np.ndarray, true: np.ndarray, chance: np.random.Generator, store: Store
) -> EvaluationReport:
    """Publish the answers of a model that is right where it is said to be, and report on them."""
    said = np.where(right, true, (true + chance.integers(1, len(CLASSES), len(true))) % len(CLASSES))
    probabilities = np.full((len(true), len(CLASSES)), 0.1 / (len(CLASSES) - 1))
    probabilities[np.arange(len(true)), said] = 0.9
    names = np.array(CLASSES)
    answers = Answers(names[true].tolist(), names[said].tolist(), probabilities, CLASSES, tabulate_costs({}, CLASSES))
    digest, test = digest_bytes(name.encode()), digest_bytes(true.tobytes())
    dataset = DatasetRef(project="p", address="a", version=1, digest=digest, images=1, labelled=1)
    model = ModelRef(project="p", key=digest, run_id="r", weights=digest, dataset=dataset)
    digests = [str(index) for index in range(len(true))]
    return EvaluationReport(
        model=model, test_digest=test, images=len(true), accuracy=float(right.mean()), macro_f1=float(right.mean()),
        worst_class_recall=1.0, recall_by_class={}, accuracy_by_partition={},
        answers=publish_answers(model, test, digests, answers, store),
    )  # fmt: skip


def make_pair(images: int, gain: float, chance: np.random.Generator, store: Store) -> tuple[EvaluationReport, ...]:
    """Make candidate and champion whose true accuracies differ by `gain`; most of their errors are the same images."""
    true = chance.integers(len(CLASSES), size=images)
    hard = chance.random(images) < 0.2
    reports = []
    for name, accuracy in (("candidate", CHAMPION + gain), ("champion", CHAMPION)):
        # All errors fall on the hard fifth of the images, where a model is right with the chance that is left.
        right = ~hard | (chance.random(images) < 1 - (1 - accuracy) / 0.2)
        reports.append(answer(name, right, true, chance, store))
    return tuple(reports)


def try_pairs(images: int, gain: float, pairs: int) -> Outcomes:
    """Compare and judge pairs of models that differ by a known gain."""
    outcomes, chance = Outcomes(), np.random.default_rng(17)
    project = Project(name="p", classes=CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(pairs):
            candidate, champion = make_pair(images, gain, chance, Store(folder))
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
        f"truth in >= {COVERAGE:.1%}, equal models promoted with significance in <= {FALSE_PROMOTIONS:.1%}",
        title_justify="left",
    )
    for heading in ("images", "true gain", "interval holds", "point", "significance", "not enough"):
        table.add_column(heading, justify="right")
    sound = True
    for images in SIZES:
        for gain in GAINS:
            outcomes = try_pairs(images, gain, pairs)
            shares = [outcomes.covered, *outcomes.promoted.values(), outcomes.undecided]
            table.add_row(str(images), f"{gain:+.2f}", *(f"{share / pairs:.1%}" for share in shares))
            sound &= outcomes.covered / pairs >= COVERAGE
            sound &= gain > 0 or outcomes.promoted["significance"] / pairs <= FALSE_PROMOTIONS
    Console().print(table)
    return bool(sound)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
