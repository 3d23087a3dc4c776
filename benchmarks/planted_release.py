"""A release, the images that it was certified on, and answered windows, as the pipeline would leave them in a store."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import lance
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.digit_network import Split, ask
from include.contracts import DriftReport
from include.predictions import append_rows
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.releases import GRAPH, REFERENCE, DecodingLimits, GoldenImage, ReleaseManifest, publish_bundle
from include.vision.statistics import image_statistics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(hours=1)
GOLDEN = 16
# The network never saw the last digit.
CLASSES = tuple("012345678")
NEW = len(CLASSES)
NOTHING = digest_bytes(b"")


class Window(NamedTuple):
    """Images as they were sent, what they show, and what people say they show."""

    images: list[NDArray[np.uint8]]
    labels: NDArray[np.int64]
    said: NDArray[np.int64]


def publish_release(
    graph: onnxruntime.InferenceSession,
    serialized: bytes,
    certified: Split,
    project: Project,
    store: Store,
    table: pa.Table | None = None,
) -> str:
    """Publish a release as `package_model` would, and return its digest.

    :param table: Reference of the release, instead of the one that the certified images give.
    """
    answers = ask(graph, certified.images)
    rows: list[dict[str, Any]] = [image_statistics(image) for image in certified.images]
    for row, label, probabilities, embedding in zip(rows, certified.labels, *answers, strict=True):
        row |= {"label": CLASSES[label], "predicted": CLASSES[int(probabilities.argmax())]}
        row |= {"probabilities": probabilities.tolist(), "embedding": embedding.tolist()}
    encoded = [encode_canonical(image) for image in certified.images]
    golden = tuple(
        GoldenImage(
            file=f"golden/{place:03d}.png",
            probabilities=tuple(answers.probabilities[place].tolist()),
            predicted=rows[place]["predicted"],
        )
        for place in range(GOLDEN)
    )
    manifest = _describe(project, golden)
    files = {one.file: encoded[place] for place, one in enumerate(golden)}
    reference = io.BytesIO()
    pq.write_table(table or pa.Table.from_pylist(rows), reference)
    _, digest = publish_bundle(store, manifest, {**files, GRAPH: serialized, REFERENCE: reference.getvalue()})
    return digest


def publish_images(certified: Split, project: Project, store: Store) -> None:
    """Publish the validation images of the dataset that the release learned from."""
    columns = {
        "image": pa.array([encode_canonical(image) for image in certified.images], pa.large_binary()),
        "label": pa.array([CLASSES[label] for label in certified.labels]),
        "split": pa.array(["validation"] * len(certified.images)),
    }
    dataset = lance.write_dataset(pa.table(columns), store.uri(f"{project.name}/images.lance"))
    dataset.tags.create(NOTHING.replace(":", "-"), dataset.version)


def log_window(
    window: Window, graph: onnxruntime.InferenceSession, release: str, project: Project, store: Store, labelled: int
) -> DriftReport:
    """Log answers to a window as the serving process would, and labels of the first few; return what drift says."""
    answers = ask(graph, window.images)
    known = {
        "project": project.name,
        "release": release,
        "model_version": 1,
        "latency_ms": 1.0,
        "answered_by": "champion",
    }
    rows = [
        image_statistics(image)
        | known
        | {"request_id": f"request-{place}", "time": START + timedelta(seconds=place)}
        | {"predicted": CLASSES[int(probabilities.argmax())], "confidence": float(probabilities.max())}
        | {"probabilities": probabilities.tolist(), "embedding": embedding.tolist()}
        for place, (image, probabilities, embedding) in enumerate(zip(window.images, *answers, strict=True))
    ]
    append_rows(store, "predictions", "planted", rows)
    names = (*CLASSES, "9")
    feedback = [
        {"request_id": row["request_id"], "time": END, "project": project.name, "label": names[label]}
        for row, label in zip(rows[:labelled], window.said, strict=False)
    ]
    append_rows(store, "feedback", "planted", feedback)
    return DriftReport(
        project=project.name,
        start=START,
        end=END,
        release=release,
        verdict="drift",
        predictions=len(rows),
        summary="planted",
    )


def _describe(project: Project, golden: tuple[GoldenImage, ...]) -> ReleaseManifest:
    return ReleaseManifest(
        project=project.name,
        classes=CLASSES,
        model_version=1,
        model_key=NOTHING,
        weights=NOTHING,
        dataset=NOTHING,
        decoding=DecodingLimits(formats=("PNG",), max_bytes=10**6, max_pixels=10**6),
        golden=golden,
        tolerance=1e-4,
    )
