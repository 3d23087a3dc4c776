"""Look at a dataset version before anybody trains on it: one self-contained page, pictures first."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from include.contracts import DatasetRef
from include.data.label_noise import find_label_noise
from include.data.pictures import read_pictures
from include.project import Project
from include.storage import Store
from include.vision.twins import find_twins, read_fingerprints

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
MEASURES = ("brightness", "contrast", "saturation", "sharpness")
COLUMNS = (
    "digest", "source", "group", "label", "split", "partition", "width", "height", "phash", "embedding", *MEASURES,
)  # fmt: skip
SPLITS = ("train", "validation", "test")
# A page stays small and quick to open, however large the dataset.
PICTURES = 200
PER_CLASS = (4, 11)
CLASSES = 50
EXTREMES = 12
CLUSTERS = 12
PER_CLUSTER = 8
SUSPECTS = 24
SIZES = 8
DAYS = 366
BINS = 32


@dataclass(frozen=True)
class Cluster:
    """Rows that show the same picture."""

    rows: list[int]
    labels: int
    splits: int


def render_eda(project: Project, dataset: DatasetRef, rows: pa.Table, store: Store) -> str:
    """Render the report of one dataset version as HTML, the same bytes for the same version.

    :param rows: Columns `COLUMNS` of all images of the version.
    """
    # By digest the order means nothing: the first of it are a fair sample, and every time the same.
    rows = rows.sort_by([("digest", "ascending"), ("partition", "ascending")])
    phash, embedding = read_fingerprints(rows)
    bits = project.data.near_duplicate_bits
    clusters = find_clusters(rows, find_twins(phash, embedding, bits)) if bits else []
    noise = find_label_noise(rows["label"].to_pylist(), rows["group"].to_pylist(), embedding)
    samples = _sample_classes(rows, project.classes)
    extremes = [(title, _extreme(rows, name, last=last)) for title, name, last in _EXTREMES]
    shown = [*samples.values(), *(chosen for _, chosen in extremes)]
    shown += [cluster.rows[:PER_CLUSTER] for cluster in clusters[:CLUSTERS]]
    shown.append([suspect.row for suspect in noise.suspects[:SUSPECTS]])
    described = {row: _describe(rows, row) for row in sorted({row for some in shown for row in some})}
    return PAGES.get_template("eda.html").render(
        project=project,
        dataset=dataset,
        rows=described,
        pictures=read_pictures(dataset, {one["digest"] for one in described.values()}, store),
        samples=samples,
        balance=count_classes(rows, project.classes),
        sizes=_count_sizes(rows),
        days=_follow_days(rows),
        histograms=[_bin(rows, name) for name in MEASURES] if rows.num_rows else [],
        extremes=extremes,
        clusters=clusters,
        noise=noise,
        limits={"clusters": CLUSTERS, "in_cluster": PER_CLUSTER, "suspects": SUSPECTS},
    )


_EXTREMES = (
    ("Darkest", "brightness", False),
    ("Brightest", "brightness", True),
    ("Flattest", "contrast", False),
    ("Least sharp", "sharpness", False),
)


def find_clusters(rows: pa.Table, pairs: NDArray[np.int64]) -> list[Cluster]:
    """Join pairs of near-duplicates into clusters: those with contradicting labels first, then those across splits.

    :param rows: Columns `label` and `split`.
    :param pairs: Row numbers [K, 2].
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    members, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(-1, 2)
    links = coo_array((np.ones(len(places)), (places[:, 0], places[:, 1])), shape=(len(members), len(members)))
    belongs = connected_components(links, directed=False)[1] if len(members) else members
    found = defaultdict(list)
    for row, cluster in zip(members.tolist(), belongs.tolist(), strict=True):
        found[cluster].append(row)
    labels, splits = rows["label"].to_pylist(), rows["split"].to_pylist()
    clusters = [
        Cluster(some, len({labels[row] for row in some} - {None}), len({splits[row] for row in some}))
        for some in found.values()
    ]
    return sorted(clusters, key=lambda one: (-one.labels, -one.splits, -len(one.rows), one.rows))


def _sample_classes(rows: pa.Table, classes: Sequence[str]) -> dict[str | None, list[int]]:
    """Choose a few rows of each class, and of those without a label."""
    wanted = [*classes[:CLASSES], None]
    few = int(np.clip(PICTURES // len(wanted), *PER_CLASS))
    chosen: dict[str | None, list[int]] = {name: [] for name in wanted}
    for row, label in enumerate(rows["label"].to_pylist()):
        if len(chosen.get(label, ())) < few and label in chosen:
            chosen[label].append(row)
    return {label: some for label, some in chosen.items() if some or label is not None}


def _extreme(rows: pa.Table, name: str, *, last: bool) -> list[int]:
    order = np.argsort(rows[name].to_numpy(), kind="stable")
    return [int(row) for row in (order[::-1] if last else order)[:EXTREMES]]


def _describe(rows: pa.Table, row: int) -> dict[str, Any]:
    return {name: rows[name][row].as_py() for name in ("digest", "source", "label", "split", "partition")}


def count_classes(rows: pa.Table, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Count images by class and split: `label`, `parts` in the order of `SPLITS`, `total`; the last has no label."""
    counted = rows.group_by(["label", "split"]).aggregate([("digest", "count")]).to_pylist()
    counts = {(one["label"], one["split"]): one["digest_count"] for one in counted}
    balance = []
    for label in (*classes, None):
        parts = [counts.get((label, split), 0) for split in SPLITS]
        balance.append({"label": label, "parts": parts, "total": sum(parts)})
    return balance


def _count_sizes(rows: pa.Table) -> list[dict[str, Any]]:
    sizes = Counter(zip(rows["width"].to_pylist(), rows["height"].to_pylist(), strict=True))
    common = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))
    found = [{"name": f"{width} x {height}", "total": total} for (width, height), total in common[:SIZES]]
    if len(common) > SIZES:
        rest = sum(total for _, total in common[SIZES:])
        found.append({"name": f"{len(common) - SIZES} other sizes", "total": rest})
    return found


def _follow_days(rows: pa.Table) -> list[dict[str, Any]]:
    """Follow the number of images, and how they look, over the partitions."""
    coded = rows["partition"].combine_chunks().dictionary_encode()
    codes, labelled = coded.indices.to_numpy(), pc.is_valid(rows["label"]).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    bounds = np.cumsum(np.bincount(codes, minlength=len(coded.dictionary)))[:-1]
    days = dict(zip(coded.dictionary.to_pylist(), np.split(order, bounds), strict=True)) if len(codes) else {}
    values = {name: rows[name].to_numpy() for name in ("brightness", "contrast", "sharpness")}
    return [
        {"name": day, "labelled": int(labelled[chosen].sum()), "total": len(chosen)}
        | {name: _summarise(day, column[chosen]) for name, column in values.items()}
        for day, chosen in sorted(days.items())[-DAYS:]
    ]


def _summarise(day: str, values: NDArray[np.float32]) -> dict[str, Any]:
    low, median, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
    return {"name": day, "low": low, "median": median, "high": high}


def _bin(rows: pa.Table, name: str) -> dict[str, Any]:
    values = rows[name].to_numpy()
    # A few extreme values would press all others into one bar; they are counted in the last one.
    low, median, high = np.quantile(values, [0, 0.5, 0.99]).tolist()
    high = max(high, low + 1e-3)
    counts = np.histogram(np.clip(values, low, high), bins=BINS, range=(low, high))[0].tolist()
    return {"name": name, "counts": counts, "low": f"{low:.3g}", "median": f"{median:.3g}", "high": f"{high:.3g}"}
