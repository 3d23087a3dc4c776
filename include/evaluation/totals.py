"""Sums over test images from which measures follow, for many resamples of the images at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from include.evaluation.calibration import CALIBRATION_BINS, bin_confidence
from include.evaluation.ranking import Ranking

# A probability of 0 of what turned out true would make the loss infinite; answers are float32.
SMALLEST = float(np.finfo(np.float32).eps)

Values = NDArray[np.float64]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Parts:
    """What each of N images adds to each total, and how a model ranks them.

    :ivar sums: Sparse [N, 3 K + 17], in the order of `Totals`.
    :ivar true: Index of the true class [N].
    :ivar probabilities: Of each class [N, K].
    """

    sums: csr_array
    true: NDArray[np.int64]
    probabilities: Values

    @cached_property
    def rankings(self) -> list[Ranking]:
        """The images as ordered by the probability of each class [K]."""
        return [Ranking.sort(one, self.true == index) for index, one in enumerate(self.probabilities.T)]


@dataclass(frozen=True)
class Totals:
    """What the images of each of B resamples add up to, for a model that knows K classes.

    :ivar true: Images of each class [B, K].
    :ivar predicted: Images called each class [B, K].
    :ivar hits: Images of each class called by their class [B, K].
    :ivar surplus: Confidence less hits of each calibration bin [B, 15].
    :ivar loss: Negative log likelihood of the true classes [B].
    :ivar cost: Cost of the answers [B].
    :ivar weights: How often each image is in each resample [B, N].
    :ivar parts: The images.
    """

    true: Values
    predicted: Values
    hits: Values
    surplus: Values
    loss: Values
    cost: Values
    weights: Values
    parts: Parts

    @classmethod
    def weigh(cls, parts: Parts, weights: Values) -> Self:
        """Add up the parts of images, each as often as a resample holds it [B, N]."""
        totals = np.asarray(parts.sums.T @ weights.T).T
        size = (totals.shape[1] - CALIBRATION_BINS - 2) // 3
        true, predicted, hits, surplus, rest = np.split(
            totals, [size, 2 * size, 3 * size, 3 * size + CALIBRATION_BINS], axis=1
        )
        return cls(true, predicted, hits, surplus, rest[:, 0], rest[:, 1], weights, parts)

    @property
    def images(self) -> Values:
        """Images of each resample [B]."""
        return np.asarray(self.true.sum(axis=1))

    @property
    def precision(self) -> Values:
        """Precision of each class [B, K]."""
        return _divide(self.hits, self.predicted)

    @property
    def recall(self) -> Values:
        """Recall of each class [B, K]."""
        return _divide(self.hits, self.true)

    @property
    def f1(self) -> Values:
        """F1 of each class [B, K]."""
        return _divide(2 * self.hits, self.true + self.predicted)

    @property
    def area(self) -> Values:
        """Area under the ROC curve, averaged over the classes that are there [B]; 0 where only one is."""
        areas = np.array([ranking.measure(self.weights) for ranking in self.parts.rankings])
        told = np.isfinite(areas)
        return _divide(np.where(told, areas, 0.0).sum(axis=0), told.sum(axis=0).astype(np.float64))

    def average(self, values: Values) -> Values:
        """Average values of classes [B, K], each class counting by its images."""
        return np.asarray((values * self.true).sum(axis=1) / self.images)


Measure = tuple[Better, Callable[[Totals], Values]]
MEASURES: dict[str, Measure] = {
    "accuracy": ("higher", lambda of: of.hits.sum(axis=1) / of.images),
    "balanced_accuracy": ("higher", lambda of: of.recall.sum(axis=1) / (of.true > 0).sum(axis=1)),
    "worst_class_recall": ("higher", lambda of: np.where(of.true > 0, of.recall, 1.0).min(axis=1)),
    "macro_precision": ("higher", lambda of: of.precision.mean(axis=1)),
    "macro_recall": ("higher", lambda of: of.recall.mean(axis=1)),
    "macro_f1": ("higher", lambda of: of.f1.mean(axis=1)),
    "weighted_precision": ("higher", lambda of: of.average(of.precision)),
    "weighted_recall": ("higher", lambda of: of.average(of.recall)),
    "weighted_f1": ("higher", lambda of: of.average(of.f1)),
    "auc_roc": ("higher", lambda of: of.area),
    "log_loss": ("lower", lambda of: of.loss / of.images),
    "calibration_error": ("lower", lambda of: np.abs(of.surplus).sum(axis=1) / of.images),
    "expected_cost": ("lower", lambda of: of.cost / of.images),
}


def list_measures(classes: Sequence[str]) -> dict[str, Measure]:
    """List what follows from totals, of each class too, by the names that an evaluation gives it."""
    measures = dict(MEASURES)
    for index, label in enumerate(classes):
        for score in ("precision", "recall", "f1"):
            measures[f"{score}_{label}"] = ("higher", partial(_pick, score=score, index=index))
    return measures


def split_answers(true: NDArray[np.int64], predicted: NDArray[np.int64], probabilities: Values, costs: Values) -> Parts:
    """Say of each image what it adds to each total.

    :param true: Index of the true class [N].
    :param predicted: Index of the answer [N]; K where it is a class that the project has no more.
    :param probabilities: Of each class [N, K].
    :param costs: Of each answer to each true class [K, K + 1].
    """
    (images, size), rows = probabilities.shape, np.arange(len(true))
    hits = (true == predicted).astype(np.float64)
    confidence = probabilities.max(axis=1)
    loss = -np.log(np.clip(probabilities[rows, true], SMALLEST, 1.0))

    def scatter(values: Values, columns: NDArray[np.int64], width: int) -> csr_array:
        return csr_array((values, (rows, columns)), shape=(images, width))

    parts = [
        scatter(np.ones(images), true, size),
        scatter((predicted < size).astype(np.float64), predicted % size, size),
        scatter(hits, true, size),
        scatter(confidence - hits, bin_confidence(confidence), CALIBRATION_BINS),
        csr_array(np.column_stack([loss, costs[true, predicted]])),
    ]
    return Parts(csr_array(hstack(parts)), true, probabilities)


def tabulate_costs(costs: dict[str, dict[str, float]], classes: Sequence[str]) -> Values:
    """Tabulate what each answer costs, true classes down [K, K + 1]: as declared, else 1, and 0 where it is right."""
    known = [[costs.get(true, {}).get(said, float(true != said)) for said in classes] for true in classes]
    return np.column_stack([np.asarray(known), np.ones(len(classes))])


def _pick(totals: Totals, score: str, index: int) -> Values:
    scores: Values = getattr(totals, score)
    return scores[:, index]


def _divide(counts: Values, of: Values) -> Values:
    """Divide; 0 where there is nothing to divide by, as scikit-learn is asked to do."""
    return np.divide(counts, of, out=np.zeros_like(counts), where=of > 0)
