"""One release in memory: proven on its golden images, then asked."""

import math
from dataclasses import dataclass

import numpy as np
import onnxruntime

from include.contracts import ReleaseRef
from include.errors import ContractViolationError
from include.storage import Store
from include.vision.certificates import require_certificate
from include.vision.decoding import RejectedImageError, decode_image
from include.vision.releases import Bundle, ReleaseManifest, open_graph, open_release, run_graph
from include.vision.statistics import image_statistics


@dataclass(frozen=True)
class Answer:
    """What a release says of one image."""

    predicted: str
    probabilities: dict[str, float]
    statistics: dict[str, float]

    @property
    def confidence(self) -> float:
        """Probability of the predicted class."""
        return self.probabilities[self.predicted]


@dataclass(frozen=True)
class ServedModel:
    """A release that answers; any number of threads may ask at once."""

    release: ReleaseRef
    manifest: ReleaseManifest
    graph: onnxruntime.InferenceSession

    def answer(self, data: bytes) -> Answer:
        """Classify one image file.

        :raises RejectedImageError: the bytes are no acceptable image.
        """
        image = decode_image(data, **self.manifest.decoding.model_dump())
        probabilities = run_graph(self.graph, image[None])[0]
        return Answer(
            predicted=self.manifest.classes[int(probabilities.argmax())],
            probabilities=dict(zip(self.manifest.classes, probabilities.tolist(), strict=True)),
            statistics=image_statistics(image),
        )


def load_model(store: Store, release: ReleaseRef) -> ServedModel:
    """Verify a release against its digest, load it, and make it answer its golden images.

    :raises ArtifactNotFoundError: the store does not hold the release.
    :raises ContractViolationError: the release is damaged, or does not answer as it did when it was packaged.
    :raises NotCertifiedError: it has no certificate that verifies and is about this very model.
    """
    bundle = open_release(store, release)
    if bundle.manifest.project != release.model.model.project:
        raise ContractViolationError(f"release {release.digest} was made for project {bundle.manifest.project}")
    require_certificate(release, bundle, store)
    graph = open_graph(bundle.graph)
    _ask_golden_images(bundle, graph)
    return ServedModel(release, bundle.manifest, graph)


def _ask_golden_images(bundle: Bundle, graph: onnxruntime.InferenceSession) -> None:
    manifest = bundle.manifest
    for golden in manifest.golden:
        data = (bundle.folder / golden.file).read_bytes()
        try:
            image = decode_image(data, formats=("PNG",), max_bytes=len(data), max_pixels=manifest.decoding.max_pixels)
            found = run_graph(graph, image[None])[0]
            difference = float(np.abs(found - np.asarray(golden.probabilities)).max())
        except (RejectedImageError, ValueError, RuntimeError) as error:
            raise ContractViolationError(f"{golden.file} of release {bundle.digest} fails: {error}") from error
        if math.isnan(difference) or difference > manifest.tolerance:
            raise ContractViolationError(
                f"release {bundle.digest} answers {golden.file} with probabilities that are {difference:.2e} off; "
                f"{manifest.tolerance:.2e} is allowed. Was it packaged with another ONNX Runtime? Package it again"
            )
