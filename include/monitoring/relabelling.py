"""Images that people are asked to label: those the model is least sure of, no two alike."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from include.contracts import NONE_OF_THESE, DriftReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.episodes import find_episode, name_incident
from include.ledger.incidents import open_incident
from include.monitoring.episodes import RUNBOOK
from include.monitoring.evidence import read_answers, read_labels
from include.monitoring.observations import read_kept
from include.predictions import append_rows
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.releases import open_release, release_address

# As many times the images asked for are drawn from, by uncertainty alone.
CANDIDATES = 10
SIDE = 160
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Choice:
    """Images that people are asked about.

    :ivar page: Address of the contact sheet, where they are numbered from 1.
    :ivar requests: In that order.
    """

    page: str
    requests: tuple[str, ...]


@dataclass(frozen=True)
class Labelling:
    """What people said of images.

    :ivar labelled: Images they said something of.
    :ivar none: Of these, the ones that show no class of the project.
    :ivar wrong: Of the others, the ones whose answer was another.
    """

    labelled: int
    none: int
    wrong: int


def choose_images(project: Project, episode: int, drift: DriftReport, store: Store, count: int) -> Choice:
    """Choose kept images of a window for people to label, and publish a page that shows them.

    Of the answers with the smallest margin, one of each cluster of embeddings: Zhdanov, "Diverse mini-batch active
    learning" (2019). The same window gives the same choice.

    :raises ArtifactNotFoundError: the release is gone, or no image of the window was kept.
    """
    rows = read_answers(project, drift, store)
    rows = rows.filter(pc.is_valid(rows["image"]))
    if drift.release is None or rows.num_rows == 0:
        raise ArtifactNotFoundError(
            f"no image of {drift.start:%Y-%m-%d %H:%M} to {drift.end:%H:%M} was kept, so that nobody can label one; "
            f"set deployment.recording.image_share of {project.name} above 0"
        )
    bundle = open_release(store, release_address(project.name, drift.release))
    _, labelled = read_labels(rows, project, drift, bundle.manifest.classes, store)
    rows = rows.filter(pa.array(~labelled)) if not labelled.all() else rows
    chosen = rows.take(pa.array(choose_rows(rows, count)))
    pictures = read_kept(chosen, store, count, bundle)
    columns = ["request_id", "predicted", "confidence"]
    shown = [row for row in chosen.select(columns).to_pylist() if row["request_id"] in pictures]
    page = _publish(project, episode, shown, pictures, store)
    return Choice(page, tuple(one["request_id"] for one in shown))


def choose_rows(rows: pa.Table, count: int) -> NDArray[np.int64]:
    """Return which answers to ask about, the least sure first.

    :param rows: With `probabilities` [classes], and `embedding` where there is one throughout.
    """
    probabilities = np.array(rows["probabilities"].to_pylist(), dtype=np.float64)
    best = np.sort(probabilities, axis=1)
    unsure = 1 - (best[:, -1] - best[:, -2])
    candidates = np.argsort(-unsure, kind="stable")[: CANDIDATES * count]
    if len(candidates) <= count:
        return np.asarray(candidates, dtype=np.int64)
    embedded = rows["embedding"].null_count == 0
    seen = np.array(rows["embedding"].to_pylist(), np.float64) if embedded else probabilities
    seen, weights = seen[candidates], np.maximum(unsure[candidates], 1e-6)
    clusters = min(count, len(np.unique(seen, axis=0)))
    with threadpool_limits(1):
        distances = KMeans(clusters, n_init=1, random_state=0).fit(seen, sample_weight=weights).transform(seen)
    nearest = dict.fromkeys(int(candidates[place]) for place in distances.argmin(axis=0))
    # Two centres may be nearest to one image; the least sure of the rest take the place.
    filled = list(dict.fromkeys([*nearest, *candidates.tolist()]))[:count]
    return np.array(sorted(filled, key=lambda row: -unsure[row]), dtype=np.int64)


def record_labels(project: Project, said: Mapping[str, str], drift: DriftReport, store: Store) -> Labelling:
    """Add the labels that people gave, class by request, to the feedback; hold them against the window's answers.

    Handed in again, they are still the same labels of the same requests. Images of none of the classes are counted;
    there is no label for them.

    :raises ContractViolationError: one is no class of the project.
    """
    labels = {request_id: label for request_id, label in said.items() if label != NONE_OF_THESE}
    strange = sorted({repr(label) for label in labels.values()} - {repr(name) for name in project.classes})
    if strange:
        raise ContractViolationError(
            f"{', '.join(strange)} is no class of {project.name}; classes are {', '.join(project.classes)}"
        )
    now = datetime.now(UTC)
    rows = [
        {"request_id": request_id, "time": now, "project": project.name, "label": label}
        for request_id, label in sorted(labels.items())
    ]
    content = json.dumps(sorted(labels.items())).encode()
    append_rows(store, "feedback", f"people-{digest_bytes(content).removeprefix('sha256:')[:16]}", rows)
    given = read_answers(project, drift, store)
    answers = dict(zip(given["request_id"].to_pylist(), given["predicted"].to_pylist(), strict=True))
    wrong = sum(answers.get(request_id, label) != label for request_id, label in labels.items())
    return Labelling(len(said), len(said) - len(labels), wrong)


def report_labels(project: Project, episode: int, found: Labelling, shown: int, ledger: Ledger, run: str) -> int | None:
    """Tell the project's owner, by an incident, what people said of the images of an episode; return its number.

    None where the episode is over: nothing is left to do about it.

    :param shown: Images that they were asked about.
    """
    if find_episode(ledger, episode).state == "closed":
        return None
    images = f"{found.labelled} of {shown} images of episode {episode} were labelled"
    answers = f"{found.wrong} of {found.labelled - found.none} answers wrong"
    summary = f"{images}: {found.none} none of the classes, {answers}"
    return open_incident(
        ledger,
        project.name,
        kind="drift",
        key=name_incident(episode),
        title=summary,
        impact="medium",
        urgency="medium",
        runbook=RUNBOOK,
        owner=project.owner,
        evidence={"summary": summary, **asdict(found)},
        who=run,
    )


def _publish(
    project: Project, episode: int, shown: list[dict[str, Any]], pictures: Mapping[str, NDArray[np.uint8]], store: Store
) -> str:
    page = TEMPLATES.get_template("relabelling.html.j2").render(
        project=project,
        episode=episode,
        images=[one | {"picture": _embed(pictures[one["request_id"]])} for one in shown],
    )
    name = digest_bytes(page.encode()).removeprefix("sha256:")[:16]
    address = f"{project.name}/reports/relabelling/{episode}-{name}/index.html"
    store.write(address, page.encode())
    return address


def _embed(image: NDArray[np.uint8]) -> str:
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"
