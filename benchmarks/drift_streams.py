"""Streams of answers to photographed digits, and three judges that look at them window by window."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnxruntime
import pyarrow as pa
from evidently.legacy.calculations.stattests import get_stattest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from benchmarks.digit_network import Images, ask
from include.monitoring.layers import CLASSES, NUMBERS, weigh_features
from include.monitoring.sequence import add_up, evidence_needed
from include.vision.statistics import image_statistics

CERTIFIED = 300
ALPHA = 0.05
JUDGES = ("Windhover", "Evidently's preset", "KS, Bonferroni")

Judge = Callable[[pa.Table], bool]


def tabulate(graph: onnxruntime.InferenceSession, images: Images) -> pa.Table:
    """Make rows as the prediction log has them."""
    answers = ask(graph, images)
    statistics = [image_statistics(image) for image in images]
    columns = {name: pa.array([row[name] for row in statistics]) for name in statistics[0] if name in NUMBERS}
    return pa.table(
        columns
        | {
            "confidence": pa.array(answers.probabilities.max(axis=1).astype(float)),
            "predicted": pa.array([str(number) for number in answers.probabilities.argmax(axis=1)]),
            "probabilities": pa.array(answers.probabilities.astype(float).tolist()),
            "embedding": pa.array(answers.embeddings.tolist(), pa.list_(pa.float32())),
        }
    )


@dataclass
class Betting:
    """Windhover's own: hourly windows, evidence over all of them."""

    reference: pa.Table
    false_alarms_per_quarter: float = 1.0
    evidence: dict[str, float] = field(default_factory=dict)

    def __call__(self, window: pa.Table) -> bool:
        """Tell whether this window brings the evidence to the limit; after that it begins anew."""
        weighed = weigh_features(self.reference, window)
        limit = evidence_needed(len(weighed), self.false_alarms_per_quarter)
        self.evidence = {one.feature: add_up(self.evidence.get(one.feature, 0.0), 1, one.log_e) for one in weighed}
        alarmed = max(self.evidence.values()) >= limit
        if alarmed:
            self.evidence = {}
        return alarmed


@dataclass
class Preset:
    """Evidently's default preset: a test it chooses by size and type for each column, drift from half of them on."""

    reference: pa.Table

    def __call__(self, window: pa.Table) -> bool:
        """Tell whether the preset would say that the dataset drifts."""
        names = [name for name in (*NUMBERS, *CLASSES) if name in self.reference.column_names]
        return sum(self._drifts(window, name) for name in names) >= len(names) / 2

    def _drifts(self, window: pa.Table, name: str) -> bool:
        kind = "cat" if name in CLASSES else "num"
        sides = [table[name].to_pandas() for table in (self.reference, window)]
        with np.errstate(invalid="ignore", divide="ignore"):
            return bool(get_stattest(*sides, kind, None)(*sides, kind, None).drifted)


@dataclass
class KolmogorovSmirnov:
    """Two-sample tests of each class's probability at 5 % a window, divided by their number (Rabanser et al., 2019)."""

    reference: pa.Table

    def __call__(self, window: pa.Table) -> bool:
        """Tell whether any p-value is low enough."""
        known, seen = (
            np.array(table["probabilities"].combine_chunks().flatten()).reshape(table.num_rows, -1)
            for table in (self.reference, window)
        )
        p_values = ks_2samp(known, seen, axis=0, method="asymp").pvalue
        return bool(p_values.min() <= ALPHA / len(p_values))


def make_judges(reference: pa.Table, false_alarms_per_quarter: float = 1.0) -> dict[str, Judge]:
    """Give every judge the same reference."""
    made = (Betting(reference, false_alarms_per_quarter), Preset(reference), KolmogorovSmirnov(reference))
    return dict(zip(JUDGES, made, strict=True))


def draw(
    table: pa.Table, size: int, chance: np.random.Generator, weights: NDArray[np.float64] | None = None
) -> pa.Table:
    """Draw a window from a pool, images with replacement.

    :param weights: Of each row; none: alike.
    """
    shares = None if weights is None else weights / weights.sum()
    return table.take(pa.array(chance.choice(table.num_rows, size, p=shares)))


def deal(table: pa.Table, chance: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """Deal a pool into what a release is certified on and what comes later; no image is in both."""
    order = chance.permutation(table.num_rows)
    return table.take(pa.array(order[:CERTIFIED])), table.take(pa.array(order[CERTIFIED:]))
