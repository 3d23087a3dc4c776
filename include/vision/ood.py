"""Out-of-distribution score: how far an image lies from everything that its release was certified on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

# Fewer images of known answers do not tell what is usual.
MIN_IMAGES = 30
FOLDS = 5
# Of the mean variance: with fewer images than directions the covariance has no inverse.
SHRINKAGE = 0.01
# Share of the certified images that are less odd than 1.
UNIT = 0.99
# A network that is always sure would make anything less than certain the oddest of all.
LEAST_DOUBT = 0.01
LEAST_DISTANCE = 1e-6

Values = NDArray[np.float64]


class _Scale(NamedTuple):
    """What is usual of a number: 0 in the middle, 1 where one in twenty lies beyond."""

    middle: float
    spread: float

    @classmethod
    def fit(cls, values: Values, least: float) -> Self:
        middle, high = np.quantile(values, (0.5, 0.95))
        return cls(float(middle), max(float(high - middle), least))

    def apply(self, values: Values) -> Values:
        return (values - self.middle) / self.spread


class _Clusters(NamedTuple):
    """Gaussians of one covariance, one for each class, in directions where that covariance is a unit sphere."""

    directions: Values  # [D, D]
    centres: Values  # [classes, D]
    lengths: Values  # [classes], of the centres, squared

    @classmethod
    def fit(cls, embeddings: Values, classes: NDArray[np.int64]) -> Self:
        present, members = np.unique(classes, return_inverse=True)
        centres = np.stack([embeddings[members == one].mean(axis=0) for one in range(len(present))])
        around = embeddings - centres[members]
        covariance = around.T @ around / len(around)
        ridge = max(SHRINKAGE * float(np.trace(covariance)) / len(covariance), LEAST_DISTANCE)
        directions = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(len(covariance))))
        placed = centres @ directions
        return cls(directions, placed, (placed**2).sum(axis=1))

    def measure(self, embeddings: Values) -> Values:
        """Return the distance to the nearest centre [N]."""
        placed = embeddings @ self.directions
        nearest = (self.lengths - 2 * placed @ self.centres.T).min(axis=1)
        return np.asarray(np.sqrt(np.maximum((placed**2).sum(axis=1) + nearest, 0)))


@dataclass(frozen=True, eq=False)
class OodScore:
    """What is usual for one release; any number of threads may ask."""

    clusters: _Clusters
    distances: _Scale
    doubts: _Scale
    unit: float

    def measure(self, embeddings: NDArray[np.float32], confidence: NDArray[np.float32]) -> Values:
        """Score N images by their embeddings [N, D] and largest probabilities [N]; 1: odder than 99 in 100 certified.

        The Mahalanobis distance to the nearest class (Lee et al., "A simple unified framework for detecting
        out-of-distribution samples", NeurIPS 2018) and one less the largest probability (Hendrycks and Gimpel,
        ICLR 2017), each on the scale of the certified images, added up: a new class shows in the second, whatever is
        wrong with the picture in the first. The energy score needs logits, which a release does not give.
        """
        return (
            self._add(self.clusters.measure(embeddings.astype(np.float64)), 1.0 - confidence.astype(np.float64))
            / self.unit
        )

    def _add(self, distances: Values, doubts: Values) -> Values:
        return self.distances.apply(distances) + self.doubts.apply(doubts)


def fit_ood(
    embeddings: NDArray[np.float32], answers: Sequence[str], confidence: NDArray[np.float32]
) -> OodScore | None:
    """Learn what is usual from the certified images of a release; None where there are fewer than 30 of them.

    What is usual of a distance is measured on images that the clusters were not fitted to, in five folds: an image
    lies nearer to what it helped to make.

    :param embeddings: Float [N, D], all finite.
    :param answers: The release's answers to these images; their labels are not needed.
    :param confidence: Largest probability of each [N].
    """
    if len(embeddings) < MIN_IMAGES:
        return None
    wide = embeddings.astype(np.float64)
    classes = np.unique(np.asarray(answers), return_inverse=True)[1].astype(np.int64)
    folds = np.arange(len(wide)) % FOLDS
    distances = np.empty(len(wide))
    for fold in range(FOLDS):
        inside = folds == fold
        distances[inside] = _Clusters.fit(wide[~inside], classes[~inside]).measure(wide[inside])
    doubts = 1.0 - confidence.astype(np.float64)
    scales = _Scale.fit(distances, LEAST_DISTANCE), _Scale.fit(doubts, LEAST_DOUBT)
    score = OodScore(_Clusters.fit(wide, classes), *scales, unit=1.0)
    unit = float(np.quantile(score._add(distances, doubts), UNIT))
    return OodScore(score.clusters, *scales, unit=max(unit, LEAST_DOUBT))


def read_ood(reference: Path | pa.BufferReader) -> OodScore | None:
    """Learn what is usual from the reference of a release; None where it holds no embeddings, or too few images.

    :raises OSError: the table cannot be read; so does `pyarrow.ArrowException`.
    """
    columns = ["embedding", "predicted", "confidence"]
    if not set(columns) <= set(pq.read_schema(reference).names):
        return None
    table = pq.read_table(reference, columns=columns)
    table = table.filter(table["embedding"].is_valid()).combine_chunks()
    if not table.num_rows:
        return None
    embeddings = table["embedding"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    if not np.isfinite(embeddings).all():
        return None
    return fit_ood(embeddings, table["predicted"].to_pylist(), table["confidence"].to_numpy())
