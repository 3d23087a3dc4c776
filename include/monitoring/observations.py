"""Images as numbers: those of a window, those of the reference, and known ones that faults are tried on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import lance
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from include.errors import ArtifactNotFoundError
from include.storage import Store
from include.vision.decoding import RejectedImageError, decode_image
from include.vision.releases import GRAPH_EMBEDDING, Bundle, open_graph, run_graph_with_embedding
from include.vision.statistics import image_statistics
from include.vision.stored_images import decode_stored

Image = NDArray[np.uint8]
Values = NDArray[np.float64]

# Their spread is over orders of magnitude.
SKEWED = ("sharpness", "noise")
# An image's size is no trouble of its camera, and the network never sees it.
SIZES = ("width", "height")
UNSURE = 1e-6
NEIGHBOURS = 5
# Less is no difference: nobody can try a fault more exactly. Of the logarithm, where there is one.
TOLERANCE = 0.01
TOLERANCES = {"sharpness": 0.3, "noise": 0.3, "entropy": 0.2}
BATCH = 16


@dataclass(frozen=True)
class Sample:
    """Images as numbers.

    :ivar statistics: Image statistics [n, names], unscaled.
    :ivar seen: What the network sees [n, k]: its embedding, or the logarithms of its probabilities.
    :ivar probabilities: Its answers [n, classes].
    """

    statistics: Values
    seen: Values
    probabilities: Values

    @property
    def answers(self) -> NDArray[np.int64]:
        """Position of the class answered to each image, [n]."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def take(self, rows: NDArray[np.bool_]) -> "Sample":
        """Return some of the images."""
        return Sample(self.statistics[rows], self.seen[rows], self.probabilities[rows])

    def __len__(self) -> int:
        return len(self.statistics)


@dataclass(frozen=True)
class Known:
    """Images of before the release, to try faults on, and their classes; -1 where nobody knows."""

    images: list[Image]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Lens:
    """How images become numbers, the same for those of the window and for known ones.

    :ivar embedded: Whether `seen` is the embedding.
    """

    graph: onnxruntime.InferenceSession
    names: tuple[str, ...]
    embedded: bool

    def observe(self, images: Sequence[Image]) -> Sample:
        """Measure images, and ask the model about them."""
        statistics = [[row[name] for name in self.names] for row in map(image_statistics, images)]
        asked = [run_graph_with_embedding(self.graph, batch) for batch in _batch(images)]
        probabilities = np.concatenate([answer for answer, _ in asked]).astype(np.float64)
        seen = np.concatenate([e for _, e in asked if e is not None]) if self.embedded else _log(probabilities)
        return Sample(np.array(statistics), seen.astype(np.float64), probabilities)


def open_lens(bundle: Bundle, window: pa.Table) -> Lens:
    """Return what makes a window's columns of images, for those columns that are filled throughout."""
    graph = open_graph(bundle.graph)
    names = image_statistics(np.zeros((3, 3, 3), np.uint8))
    measured = [name for name in names if name not in SIZES and _is_filled(window, name)]
    embeds = GRAPH_EMBEDDING in [one.name for one in graph.get_outputs()]
    return Lens(graph, tuple(measured), embeds and _is_filled(window, "embedding"))


def to_sample(table: pa.Table, lens: Lens) -> Sample:
    """Read a table of answers as numbers."""
    probabilities = np.array(table["probabilities"].to_pylist(), dtype=np.float64)
    seen = np.array(table["embedding"].to_pylist(), np.float64) if lens.embedded else _log(probabilities)
    statistics = np.array([table[name].to_numpy() for name in lens.names], dtype=np.float64).T
    return Sample(statistics.reshape(table.num_rows, len(lens.names)), seen, probabilities)


def scaler(reference: Sample, names: Sequence[str]) -> Callable[[Sample, bool], list[Values]]:
    """Return what makes comparable blocks of a sample: its statistics, what the network sees, and how odd that is.

    Its second argument says whether the images are those of the reference, whatever was done to them.
    """
    skewed = np.isin(names, SKEWED)
    typical = np.median(reference.statistics, axis=0)
    bend = partial(_bend, skewed=skewed, offset=np.maximum(0.1 * typical, 1e-9))
    bent = bend(reference.statistics)
    middle = np.median(bent, axis=0)
    low, high = np.percentile(bent, (10, 90), axis=0)
    spread = np.maximum((high - low) / 2.56, [TOLERANCES.get(name, TOLERANCE) for name in names])
    centre = reference.seen.mean(axis=0)
    width = max(float(reference.seen.std(axis=0).mean()), 1e-9)
    usual = max(float(np.median(_distance(reference, reference, own=True))), 1e-9)

    def scale(sample: Sample, own: bool) -> list[Values]:
        statistics = np.clip((bend(sample.statistics) - middle) / spread, -12, 12)
        oddness = np.log(np.maximum(_distance(sample, reference, own=own) / usual, 1e-3))
        blocks = (statistics, (sample.seen - centre) / width, oddness[:, None])
        return [block for block in blocks if block.shape[1]]

    return scale


def _distance(sample: Sample, reference: Sample, *, own: bool) -> Values:
    """Return the mean distance, [n], to the nearest images of the reference; an image is no neighbour of its own."""
    nearest = np.sort(cdist(sample.seen, reference.seen), axis=1)[:, int(own) : NEIGHBOURS + int(own)]
    return np.asarray(nearest.mean(axis=1) if nearest.shape[1] else np.ones(len(sample)))


def read_known(bundle: Bundle, store: Store, count: int) -> Known:
    """Read validation images of the dataset that the release learned from; its golden images where that is gone."""
    classes = bundle.manifest.classes
    place = {name: position for position, name in enumerate(classes)}
    try:
        rows = _read_validation(bundle, store, count)
        images = [decode_stored(data) for data in rows["image"].to_pylist()]
        labels = [place.get(label, -1) for label in rows["label"].to_pylist()]
    except (ValueError, OSError, ArtifactNotFoundError):
        images, labels = [], []
    if images:
        return Known(images, np.array(labels, dtype=np.int64))
    golden = [_decode(bundle, one.file) for one in bundle.manifest.golden[:count]]
    return Known(golden, np.full(len(golden), -1, dtype=np.int64))


def read_kept(window: pa.Table, store: Store, count: int, bundle: Bundle) -> dict[str, Image]:
    """Read the images that were kept of a window, by request; those that are gone or damaged are left out."""
    kept = window.filter(pc.is_valid(window["image"])) if "image" in window.column_names else window.slice(0, 0)
    found: dict[str, Image] = {}
    limits = bundle.manifest.decoding.model_dump()
    for request_id, address in zip(kept["request_id"].to_pylist(), kept["image"].to_pylist(), strict=True):
        if len(found) == count:
            break
        try:
            found[request_id] = decode_image(store.read(address), **limits)
        except (ArtifactNotFoundError, RejectedImageError):
            continue
    return found


def _batch(images: Sequence[Image]) -> list[Image]:
    """Stack images of one size; of several sizes, each is a batch."""
    if len({image.shape for image in images}) > 1:
        return [image[None] for image in images]
    return [np.stack(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]


def _read_validation(bundle: Bundle, store: Store, count: int) -> pa.Table:
    manifest = bundle.manifest
    # Versions are tagged with their digest, in which a tag may hold no colon.
    uri, tag = store.uri(f"{manifest.project}/images.lance"), manifest.dataset.replace(":", "-")
    version = lance.dataset(uri, version=tag)
    rows = version.to_table(columns=["label", "split"])
    fit = pc.and_(pc.equal(rows["split"], "validation"), pc.is_valid(rows["label"]))
    places = np.flatnonzero(pc.fill_null(fit, False).to_numpy())
    chosen = places[:: max(1, len(places) // count)][:count]
    return version.take(chosen, columns=["image", "label"])


def _decode(bundle: Bundle, file: str) -> Image:
    data = (bundle.folder / file).read_bytes()
    limits = bundle.manifest.decoding.model_dump() | {"formats": ("PNG",), "max_bytes": len(data)}
    return decode_image(data, **limits)


def _is_filled(table: pa.Table, name: str) -> bool:
    return name in table.column_names and table.num_rows > 0 and table[name].null_count == 0


def _bend(values: Values, skewed: NDArray[np.bool_], offset: Values) -> Values:
    return np.where(skewed, np.log(np.maximum(values, 0) + offset), values)


def _log(probabilities: NDArray[np.floating]) -> Values:
    return np.log(np.maximum(probabilities.astype(np.float64), UNSURE))
