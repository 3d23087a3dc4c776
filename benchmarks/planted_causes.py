"""Releases and windows whose drift has a cause that was planted, on photographed digits."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import lance
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks.digit_network import Split, ask
from examples.camera import WORN_LENSES
from include.contracts import DriftReport
from include.predictions import append_rows
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.releases import (
    GRAPH,
    REFERENCE,
    DecodingLimits,
    GoldenImage,
    ReleaseManifest,
    publish_bundle,
)
from include.vision.statistics import image_statistics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(hours=1)
WINDOW = 200
GOLDEN = 16
# The network never saw the last digit.
CLASSES = tuple("012345678")
NEW = len(CLASSES)
NOTHING = digest_bytes(b"")

Pixels = NDArray[np.uint8]
Chance = np.random.Generator


class Window(NamedTuple):
    """Images as they were sent, what they show, and what people say they show."""

    images: list[Pixels]
    labels: NDArray[np.int64]
    said: NDArray[np.int64]


def publish_release(
    graph: onnxruntime.InferenceSession, serialized: bytes, certified: Split, project: Project, store: Store
) -> str:
    """Publish a release as `package_model` would, beside the dataset that it learned from; return its digest."""
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
    manifest = ReleaseManifest(
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
    files = {one.file: encoded[place] for place, one in enumerate(golden)}
    reference = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), reference)
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
    known = {"project": project.name, "release": release, "model_version": 1, "latency_ms": 1.0, "answered_by": "champion"}
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


def draw(live: Split, chance: Chance, shares: NDArray[np.float64] | None = None) -> Split:
    """Draw a window of live images; of the classes in these shares, [10], and of those taught as they come."""
    weights = np.where(live.labels < NEW, 1.0, 0.0) if shares is None else shares[live.labels]
    frequencies = np.bincount(live.labels, minlength=NEW + 1)
    if shares is not None:
        weights = weights / frequencies[live.labels]
    places = chance.choice(len(live.labels), WINDOW, replace=shares is not None, p=weights / weights.sum())
    return live.take(places)


def spoil(kind: str, image: Pixels, severity: float, dead: Pixels, chance: Chance) -> Pixels:
    """Do one thing to an image, with other code than the diagnosis tries it with.

    :param severity: 0 to 1, of what may be met.
    """
    picture = Image.fromarray(image)
    if kind == "blur":
        return np.asarray(picture.filter(ImageFilter.BoxBlur(0.9 + severity)))
    if kind == "noise":
        return (image + chance.normal(0, 15 + 25 * severity, image.shape)).clip(0, 255).astype(np.uint8)
    if kind == "dead pixels":
        return np.where(dead[..., None] < 255 * (0.015 + 0.03 * severity), 255, image).astype(np.uint8)
    if kind == "overexposed":
        return np.asarray(ImageEnhance.Brightness(Image.fromarray((image.clip(0, 205) + 50).astype(np.uint8))).enhance(1.5 + severity))
    if kind == "less light":
        return np.asarray(ImageEnhance.Brightness(picture).enhance(0.55 - 0.25 * severity))
    if kind == "haze":
        return np.asarray(Image.blend(picture, Image.new("RGB", picture.size, (200, 205, 210)), 0.25 + 0.35 * severity))
    if kind == "colour":
        return (image * np.array([1.0, 0.8, 0.65 - 0.25 * severity])).astype(np.uint8)
    if kind == "shift":
        return np.roll(image, round((3 + 3 * severity) * image.shape[0] / 32), axis=1)
    if kind == "zoom":
        side = round(image.shape[0] * (0.75 - 0.2 * severity))
        small, (height, width) = picture.resize((side, side), Image.Resampling.LANCZOS), image.shape[:2]
        canvas = Image.new("RGB", (width, height))
        canvas.paste(small, ((width - side) // 2, (height - side) // 2))
        return np.asarray(canvas)
    return np.asarray(picture.rotate(25 + 65 * severity, Image.Resampling.BICUBIC))


SPOILT = {
    "camera_fault": ("blur", "noise", "dead pixels", "overexposed"),
    "lighting": ("less light", "haze", "colour"),
    "geometry": ("turn", "shift", "zoom"),
}


def plant(cause: str, live: Split, seed: int) -> tuple[Window, str]:
    """Plant a cause in a window of live images; return it and what exactly was done."""
    chance = np.random.default_rng([seed, *cause.encode()])
    if cause in SPOILT:
        kind = SPOILT[cause][seed % len(SPOILT[cause])]
        split, severity = draw(live, chance), chance.random()
        dead = chance.integers(0, 256, split.images[0].shape[:2], dtype=np.uint8)
        images = [spoil(kind, image, severity, dead, chance) for image in split.images]
        return Window(images, split.labels, split.labels), f"{kind}, {severity:.0%}"
    return PLANTED[cause](live, chance)


def _plant_worn_lens(live: Split, chance: Chance) -> tuple[Window, str]:
    lens = WORN_LENSES[int(chance.integers(len(WORN_LENSES)))]
    split = draw(live, chance)
    images = [
        np.asarray(
            ImageEnhance.Brightness(
                Image.fromarray(image).rotate(lens.rotation, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(lens.blur))
            ).enhance(lens.brightness)
        )
        for image in split.images
    ]
    return Window(images, split.labels, split.labels), str(lens)


def _plant_priors(live: Split, chance: Chance) -> tuple[Window, str]:
    shares = np.append(chance.dirichlet(np.full(NEW, 0.5)), 0.0)
    split = draw(live, chance, shares)
    return Window(split.images, split.labels, split.labels), f"one class has {shares.max():.0%}"


def _plant_new_class(live: Split, chance: Chance) -> tuple[Window, str]:
    share = chance.uniform(0.15, 0.4)
    split = draw(live, chance, np.append(np.full(NEW, (1 - share) / NEW), share))
    return Window(split.images, split.labels, split.labels), f"{share:.0%} of a new digit"


def _plant_label_noise(live: Split, chance: Chance) -> tuple[Window, str]:
    split, share = draw(live, chance), chance.uniform(0.2, 0.45)
    wrong = (split.labels + chance.integers(1, NEW, WINDOW)) % NEW
    return Window(split.images, split.labels, np.where(chance.random(WINDOW) < share, wrong, split.labels)), f"{share:.0%}"


def _plant_concept(live: Split, chance: Chance) -> tuple[Window, str]:
    split, swapped = draw(live, chance), chance.permutation(NEW)[: int(chance.integers(2, 5))]
    renamed = np.arange(NEW)
    renamed[swapped] = np.roll(swapped, 1)
    # What a class means has changed: the old name is wrong from now on.
    return Window(split.images, renamed[split.labels], renamed[split.labels]), f"{len(swapped)} classes renamed"


PLANTED: dict[str, Callable[[Split, Chance], tuple[Window, str]]] = {
    "class_prior": _plant_priors,
    "new_class": _plant_new_class,
    "label_noise": _plant_label_noise,
    "concept_change": _plant_concept,
    "worn lens": _plant_worn_lens,
}
CAUSES = (*SPOILT, *PLANTED)
