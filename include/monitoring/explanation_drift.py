"""Explanation drift: whether answers rest on other parts of the images than when the release was certified."""

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from include.contracts import ExplanationDriftReport
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.incidents import open_incident
from include.predictions import read_predictions
from include.project import Project
from include.storage import Store
from include.vision.certificates import read_certificate
from include.vision.decoding import RejectedImageError, decode_image
from include.vision.images import read_split
from include.vision.occlusion import measure_occlusion, shrink
from include.vision.releases import Bundle, open_graph, open_release, release_address, run_graph

# Explaining one takes about 140 runs of the graph.
IMAGES = 60
ENOUGH = 20
GRID = 8
PERMUTATIONS = 999
WEEKS_PER_QUARTER = 13
# A smaller share of what answers rest on may lie elsewhere and matter to nobody.
MATTERS = 0.05
SEED = 0
SHOWN_SIDE = 256

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]


class Explained(NamedTuple):
    """Images, each with what its answer rests on."""

    answers: NDArray[np.int64]  # [N]
    maps: Values  # [N, GRID, GRID], each adds up to 1


def measure_explanation_drift(project: Project, start: datetime, end: datetime, store: Store) -> ExplanationDriftReport:
    """Hold occlusion maps of images kept in [start, end) against those of the release's validation images.

    Needs `deployment.recording.image_share` above 0. At most `IMAGES` of each are explained, spread evenly.

    :raises ArtifactNotFoundError: the release, or the dataset version it was certified on, is gone.
    """
    rows = _list_kept(read_predictions(store, project.name, start, end))
    window = {"project": project.name, "start": start, "end": end, "release": None}
    if rows.num_rows < ENOUGH:
        summary = f"no evidence: {rows.num_rows} kept images, at least {ENOUGH} are needed"
        counted = {"images": rows.num_rows, "verdict": "insufficient", "summary": summary}
        return ExplanationDriftReport.model_validate({**window, **counted})
    release = window["release"] = rows["release"][0].as_py()
    bundle = open_release(store, release_address(project.name, release))
    graph = open_graph(bundle.graph)
    served = explain_images(graph, _read_kept(store, _spread(rows["image"].to_pylist()), bundle))
    certified = explain_images(graph, _read_certified(project, store, bundle))
    alpha = min(0.5, project.monitoring.false_alarms_per_quarter / WEEKS_PER_QUARTER)
    found = judge_maps(certified, served, alpha)
    if found["verdict"] != "insufficient":
        found["sheet"] = f"{project.name}/reports/explanations/{end:%Y-%m-%dT%H%M}.png"
        store.write(found["sheet"], _draw(certified, served))
    return ExplanationDriftReport.model_validate({**window, **found})


def report_moved(project: Project, report: ExplanationDriftReport, ledger: Ledger, run: str) -> int | None:
    """Open one incident where answers rest on something else than they did; return it, if they do."""
    if report.verdict != "drift":
        return None
    return open_incident(
        ledger,
        project.name,
        kind="drift",
        key=f"explanations of {report.release}",
        title=f"answers rest on other parts of the images: {report.summary}",
        impact="medium",
        urgency="low",
        runbook="docs/performance.md#what-answers-rest-on",
        owner=project.owner,
        evidence=report.model_dump(mode="json"),
        who=run,
    )


def explain_images(graph: onnxruntime.InferenceSession, images: Iterable[Pixels]) -> Explained:
    """Measure what each answer rests on, by occlusion; what speaks against an answer does not count."""
    answers, maps = [], []
    for image in map(shrink, images):
        answer = int(run_graph(graph, image[None])[0].argmax())
        drops = np.maximum(measure_occlusion(graph, image, answer).drops, 0).astype(np.float32)
        coarse = np.asarray(Image.fromarray(drops).resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64)
        answers.append(answer)
        maps.append(coarse / coarse.sum() if coarse.sum() > 0 else np.full((GRID, GRID), 1 / GRID**2))
    return Explained(np.array(answers, np.int64), np.array(maps).reshape(-1, GRID, GRID))


def judge_maps(certified: Explained, served: Explained, alpha: float) -> dict[str, Any]:
    """Tell whether the mean map of the same answers has moved: a permutation test within each class.

    A class is compared with itself, so that another mix of classes is no drift (stratified permutation: Good,
    Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005). Of what has moved, what chance alone moves is
    taken off.

    :return: What `ExplanationDriftReport` says of them.
    """
    answers = np.concatenate([certified.answers, served.answers])
    maps = np.concatenate([certified.maps, served.maps]).reshape(len(answers), -1)
    is_served = np.arange(len(answers)) >= len(certified.answers)
    groups = [np.flatnonzero(answers == one) for one in np.unique(served.answers)]
    groups = [group for group in groups if 0 < is_served[group].sum() < len(group)]
    found = {"certified": len(certified.answers), "images": len(served.answers)}
    if not groups:
        return {**found, "verdict": "insufficient", "summary": "no evidence: no answer is among the certified ones"}
    chance = np.random.default_rng(SEED)
    seen = _measure_moved(maps, is_served, groups)
    drawn = np.array([_measure_moved(maps, _shuffle(is_served, groups, chance), groups) for _ in range(PERMUTATIONS)])
    p_value = (1 + int((drawn >= seen).sum())) / (1 + PERMUTATIONS)
    moved = max(0.0, float(seen - drawn.mean()))
    verdict = "drift" if p_value <= alpha and moved >= MATTERS else "stable"
    summary = (
        f"{verdict}: {moved:.0%} of what answers rest on lies elsewhere (p = {p_value:.3f}, {len(served.maps)} images)"
    )
    return {**found, "verdict": verdict, "p_value": p_value, "moved": min(1.0, moved), "summary": summary}


def _measure_moved(maps: Values, is_served: NDArray[np.bool_], groups: Sequence[NDArray[np.int64]]) -> float:
    """Return half the absolute difference of the mean maps, averaged over classes by their pairs of images."""
    weights, moved = [], []
    for group in groups:
        inside = is_served[group]
        served, certified = maps[group[inside]], maps[group[~inside]]
        weights.append(len(served) * len(certified) / len(group))
        moved.append(float(np.abs(served.mean(axis=0) - certified.mean(axis=0)).sum()) / 2)
    return float(np.average(moved, weights=weights))


def _shuffle(
    is_served: NDArray[np.bool_], groups: Sequence[NDArray[np.int64]], chance: np.random.Generator
) -> NDArray[np.bool_]:
    shuffled = is_served.copy()
    for group in groups:
        shuffled[group] = chance.permutation(is_served[group])
    return shuffled


def _list_kept(rows: pa.Table) -> pa.Table:
    """Keep the answers of the champion whose image was kept, of the release that answered last."""
    by_model = pc.fill_null(pc.is_in(rows["answered_by"], pa.array(["champion"])), False)
    kept = rows.filter(pc.and_(by_model, pc.is_valid(rows["image"]))).select(["release", "image"])
    return kept.filter(pc.equal(kept["release"], kept["release"][-1])) if kept.num_rows else kept


def _read_kept(store: Store, addresses: Sequence[str], bundle: Bundle) -> Iterable[Pixels]:
    limits = bundle.manifest.decoding
    for address in addresses:
        try:
            data = store.read(address)
            kept = limits.model_copy(update={"formats": (*limits.formats, "PNG"), "max_bytes": len(data)})
            yield decode_image(data, **kept.model_dump())
        except (ArtifactNotFoundError, RejectedImageError):
            continue  # Forgotten on request, or not in the store yet.


def _read_certified(project: Project, store: Store, bundle: Bundle) -> Iterable[Pixels]:
    dataset = read_certificate(bundle.certificate.read_bytes(), store).model.dataset
    images = read_split(dataset, store, "validation", project.data).images
    return [images[place] for place in _spread(range(len(images)))]


def _spread(values: Sequence[Any]) -> list[Any]:
    return [values[place] for place in np.linspace(0, len(values) - 1, min(len(values), IMAGES)).astype(int)]


def _draw(certified: Explained, served: Explained) -> bytes:
    means = np.concatenate([certified.maps.mean(axis=0), served.maps.mean(axis=0)], axis=1)
    grey = Image.fromarray((255 * means / max(float(means.max()), 1e-9)).astype(np.uint8))
    buffer = io.BytesIO()
    grey.resize((2 * SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
