"""Package a certified model version as a release."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.contracts import ModelVersionRef, ReleaseRef
from include.errors import DataQualityError, NotCertifiedError, ParityError
from include.ledger import Ledger
from include.ledger.certificates import find_certificate
from include.ledger.releases import find_release, record_release
from include.predictions import PREDICTIONS, STATISTICS
from include.project import Project
from include.storage import Store
from include.tracking import Tracking
from include.vision.certificates import require_certificate
from include.vision.decoding import encode_canonical
from include.vision.export import measure_parity, predict_all
from include.vision.graphs import export_once
from include.vision.images import ImageSet, read_split
from include.vision.networks import Classifier
from include.vision.releases import (
    CERTIFICATE,
    GRAPH,
    REFERENCE,
    DecodingLimits,
    GoldenImage,
    ReleaseManifest,
    open_graph,
    open_release,
    publish_bundle,
)
from include.vision.statistics import image_statistics
from include.vision.weights import load_classifier

Images = Sequence[NDArray[np.uint8]]


def package_model(
    version: ModelVersionRef, project: Project, store: Store, ledger: Ledger, tracking: Tracking
) -> ReleaseRef:
    """Export a model version, prove that the export answers like the trained model, publish and record the release.

    The same version and project settings give the same digest, so that a second attempt finds the first one's release.

    :raises ParityError: the exported graph differs by more than `project.deployment.max_parity_difference`.
    :raises DataQualityError: the dataset has no validation images to prove anything with.
    :raises NotCertifiedError: the version has no certificate, or the exported graph is not the certified one.
    """
    signed = find_certificate(ledger, project.name, version.version)
    if signed is None:
        raise NotCertifiedError(
            f"{project.name} version {version.version} has no certificate; run `register_model` of promote_model again"
        )
    folder = tracking.fetch_candidate(version.model)
    classifier, classes = load_classifier(folder)
    validation = read_split(version.model.dataset, store, "validation", project.data)
    images = validation.images
    if not images:
        raise DataQualityError(
            f"dataset version {version.model.dataset.version} of {project.name} has no validation images, so nothing "
            "can show that the exported model answers like the trained one; raise data.validation_share"
        )
    exported = export_once(version.model, folder, store)
    graph = open_graph(exported)
    parity = _check_parity(classifier, graph, images, project, version)
    probabilities, embeddings = predict_all(graph, images)
    chosen = _choose_golden(len(images), project.deployment.golden_images)
    manifest = _describe(version, project, classes, probabilities, {i: validation.digests[i] for i in chosen})
    files = {golden.file: encode_canonical(images[i]) for golden, i in zip(manifest.golden, chosen, strict=True)}
    reference = _build_reference(validation, probabilities, embeddings, classes)
    address, digest = publish_bundle(
        store, manifest, {**files, GRAPH: exported, REFERENCE: reference, CERTIFICATE: signed}
    )
    release = ReleaseRef(model=version, address=address, digest=digest, parity=parity)
    require_certificate(release, open_release(store, release), store)
    record_release(ledger, release)
    return find_release(ledger, project.name, digest)


def _check_parity(
    classifier: Classifier,
    graph: onnxruntime.InferenceSession,
    images: Images,
    project: Project,
    version: ModelVersionRef,
) -> float:
    parity = measure_parity(classifier, graph, images)
    allowed = project.deployment.max_parity_difference
    if not parity <= allowed:
        raise ParityError(
            f"the exported graph of {project.name} version {version.version} differs from the trained model by "
            f"{parity:.2e} in probability over {len(images)} validation images; deployment.max_parity_difference "
            f"allows {allowed:.2e}. Keep serving the present release and look for the operator that differs"
        )
    return parity


def _choose_golden(images: int, wanted: int) -> list[int]:
    """Spread the golden images evenly over the split."""
    return sorted({int(i) for i in np.linspace(0, images - 1, num=min(images, wanted))})


def _describe(
    version: ModelVersionRef,
    project: Project,
    classes: Sequence[str],
    probabilities: NDArray[np.float32],
    chosen: Mapping[int, str],
) -> ReleaseManifest:
    golden = tuple(
        GoldenImage(
            file=f"golden/{position:03d}.png",
            image=digest,
            probabilities=tuple(probabilities[i].tolist()),
            predicted=classes[int(probabilities[i].argmax())],
        )
        for position, (i, digest) in enumerate(chosen.items())
    )
    limits = DecodingLimits.model_validate(project.data.model_dump(include=set(DecodingLimits.model_fields)))
    return ReleaseManifest(
        project=project.name,
        classes=tuple(classes),
        model_version=version.version,
        model_key=version.model.key,
        weights=version.model.weights,
        dataset=version.model.dataset.digest,
        decoding=limits,
        golden=golden,
        tolerance=project.deployment.max_parity_difference,
    )


def _build_reference(
    validation: ImageSet,
    probabilities: NDArray[np.float32],
    embeddings: NDArray[np.float32] | None,
    classes: Sequence[str],
) -> bytes:
    """Describe what the release was certified on in the columns, and their types, of the prediction log."""
    statistics = [image_statistics(image) for image in validation.images]
    columns = {name: pa.array([row[name] for row in statistics]) for name in STATISTICS}
    columns["predicted"] = pa.array([classes[i] for i in probabilities.argmax(axis=1)], pa.string())
    columns["confidence"] = pa.array(probabilities.max(axis=1).astype(float))
    columns["probabilities"] = pa.array(probabilities.astype(float).tolist(), _type_of("probabilities"))
    columns["embedding"] = pa.array(
        [None] * len(probabilities) if embeddings is None else embeddings.tolist(), _type_of("embedding")
    )
    columns["label"] = pa.array(validation.labels, pa.string())
    columns["digest"] = pa.array(validation.digests, pa.string())
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _type_of(column: str) -> pa.DataType:
    return PREDICTIONS.field(column).type
