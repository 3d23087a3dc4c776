"""One release in memory: proven on its golden images, then asked."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.contracts import ReleaseRef
from include.errors import ContractViolationError, PermanentError
from include.storage import Store
from include.vision.certificates import require_certificate
from include.vision.decoding import RejectedImageError, decode_image
from include.vision.ood import OodScore, read_ood
from include.vision.releases import (
    Bundle,
    GoldenImage,
    ReleaseManifest,
    open_graph,
    open_release,
    run_graph_with_embedding,
)


class ModelFailedError(PermanentError):
    """A model gave no answer that can be used."""


class Output(NamedTuple):
    """What a model says of one image."""

    probabilities: NDArray[np.float32]  # [classes], all finite
    embedding: NDArray[np.float32] | None  # [up to 64], all finite
    ood: float | None = None  # see `OodScore`; None where there is no embedding to score


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A release that answers; any number of threads may ask at once."""

    release: ReleaseRef
    manifest: ReleaseManifest
    graph: onnxruntime.InferenceSession
    folder: Path
    shares: NDArray[np.float32]  # [classes], of its answers to the validation images
    usual: OodScore | None = None

    def run(self, images: NDArray[np.uint8]) -> list[Output]:
        """Answer a batch of images, uint8 [N, H, W, 3].

        :raises ModelFailedError: the graph fails, or one of its answers is no number or of another shape.
        """
        try:
            probabilities, embeddings = run_graph_with_embedding(self.graph, images)
        except Exception as error:  # onnxruntime's errors share no public base but Exception
            raise ModelFailedError(f"{self._name} fails: {' '.join(str(error).split())}") from error
        expected = (len(images), len(self.manifest.classes))
        if probabilities.shape != expected:
            raise ModelFailedError(f"{self._name} answers {probabilities.shape} to a batch, not {expected}")
        if not np.isfinite(probabilities).all():
            raise ModelFailedError(f"{self._name} answers with a probability that is no number")
        if embeddings is None:
            return [Output(answer, None) for answer in probabilities]
        scores = self._score(embeddings, probabilities)
        return [
            Output(answer, row, score) if np.isfinite(row).all() else Output(answer, None)
            for answer, row, score in zip(probabilities, embeddings, scores, strict=True)
        ]

    def replay(self, images: int | None = None) -> None:
        """Answer golden images again, the first few or all, as they were answered when the release was packaged.

        :raises ContractViolationError: one cannot be answered, or is answered otherwise.
        """
        for golden in self.manifest.golden[:images]:
            difference = self._compare(golden)
            if math.isnan(difference) or difference > self.manifest.tolerance:
                raise ContractViolationError(
                    f"{self._name} answers {golden.file} with probabilities that are {difference:.2e} off; "
                    f"{self.manifest.tolerance:.2e} is allowed. Was it packaged with another ONNX Runtime? "
                    "Package it again"
                )

    def _compare(self, golden: GoldenImage) -> float:
        limits = self.manifest.decoding
        try:
            data = (self.folder / golden.file).read_bytes()
            image = decode_image(
                data, formats=("PNG",), max_bytes=len(data), max_pixels=limits.max_pixels, max_aspect=limits.max_aspect
            )
            found = self.run(image[None])[0].probabilities
            return float(np.abs(found - np.asarray(golden.probabilities)).max())
        except (OSError, RejectedImageError, ModelFailedError, ValueError) as error:
            raise ContractViolationError(f"{golden.file} of {self._name} fails: {error}") from error

    def _score(self, embeddings: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Sequence[float | None]:
        if self.usual is None:
            return [None] * len(embeddings)
        scores: list[float] = self.usual.measure(embeddings, probabilities.max(axis=1)).tolist()
        return scores

    @property
    def _name(self) -> str:
        return f"release {self.release.digest}"


def load_model(store: Store, release: ReleaseRef, *, trust: Store | None = None) -> ServedModel:
    """Verify a release against its digest, load it, and make it answer its golden images.

    :param trust: Store of the keys that certificates are held against; the release's own unless given.
    :raises ArtifactNotFoundError: the store does not hold the release.
    :raises ContractViolationError: the release is damaged, or does not answer as it did when it was packaged.
    :raises NotCertifiedError: it has no certificate that verifies and is about this very model.
    """
    bundle = open_release(store, release)
    if bundle.manifest.project != release.model.model.project:
        raise ContractViolationError(f"release {release.digest} was made for project {bundle.manifest.project}")
    require_certificate(release, bundle, trust or store)
    known = _read_shares(bundle), read_ood(bundle.reference)
    model = ServedModel(release, bundle.manifest, open_graph(bundle.graph), bundle.folder, *known)
    model.replay()
    return model


def _read_shares(bundle: Bundle) -> NDArray[np.float32]:
    """Return the shares of the classes among the answers to the validation images; no share is 0.

    The estimate is Laplace's rule of succession: a class that was never answered is still possible.
    """
    try:
        answers = pq.read_table(bundle.reference, columns=["predicted"])["predicted"].to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ContractViolationError(
            f"{bundle.reference.name} of release {bundle.digest} cannot be read: {error}; package it again"
        ) from error
    seen = Counter(answers)
    counts = np.array([1 + seen[name] for name in bundle.manifest.classes], np.float32)
    return np.asarray(counts / counts.sum(), np.float32)
