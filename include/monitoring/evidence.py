"""What a diagnosis goes by: the window, the reference of its release, and known images, read from the store."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import DriftReport
from include.monitoring.observations import Known, Lens, Sample, open_lens, read_known, to_sample
from include.predictions import read_feedback, read_predictions
from include.project import Project
from include.storage import Store
from include.storage.parquet import read_table
from include.vision.releases import REFERENCE, Bundle, open_release, release_address

MOST_KNOWN = 64
MOST_ROWS = 1_000
# Neither is the model in service: a candidate on trial, nor the shares of classes where no model can answer.
OTHERS = ("candidate", "baseline")


@dataclass(frozen=True)
class Evidence:
    """A window beside what its release was certified on.

    :ivar rows: The answers of the window.
    :ivar labels: Position of the class of each, [n]; -1 where the label is no class, or did not come.
    :ivar labelled: Whether a label came, [n].
    :ivar reference_labels: Position of the class of each reference image; of the answer where nobody knows it.
    """

    rows: pa.Table
    bundle: Bundle
    lens: Lens
    window: Sample
    labels: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    known: Known
    reference: Sample
    reference_labels: NDArray[np.int64]

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the model's answers."""
        return self.bundle.manifest.classes


def gather_evidence(project: Project, drift: DriftReport, store: Store) -> Evidence | None:
    """Read what is needed to diagnose a window, or None where no model answered in it.

    :raises ArtifactNotFoundError: the release is gone.
    """
    rows = read_answers(project, drift, store)
    if drift.release is None or rows.num_rows == 0:
        return None
    bundle = open_release(store, release_address(project.name, drift.release))
    lens = open_lens(bundle, rows)
    known = read_known(bundle, store, MOST_KNOWN)
    labels, labelled = read_labels(rows, project, drift, bundle.manifest.classes, store)
    reference, reference_labels = _read_reference(bundle, lens, known, store)
    return Evidence(rows, bundle, lens, to_sample(rows, lens), labels, labelled, known, reference, reference_labels)


def read_answers(project: Project, drift: DriftReport, store: Store) -> pa.Table:
    """Read the answers that a release gave in a window, spread over it where there are very many."""
    rows = read_predictions(store, project.name, drift.start, drift.end)
    own = pc.invert(pc.is_in(rows["answered_by"], pa.array(OTHERS)))
    answered = pc.greater(pc.list_value_length(rows["probabilities"]), 0)
    rows = rows.filter(pc.and_(pc.equal(rows["release"], drift.release), pc.and_(own, pc.fill_null(answered, False))))
    places = np.unique(np.linspace(0, rows.num_rows - 1, MOST_ROWS).round()) if rows.num_rows > MOST_ROWS else None
    return rows if places is None else rows.take(pa.array(places.astype(np.int64)))


def read_labels(
    rows: pa.Table, project: Project, drift: DriftReport, classes: tuple[str, ...], store: Store
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the position of each answer's true class, -1 where unknown, and whether a label came, both [n]."""
    feedback = read_feedback(store, project.name, drift.start)
    labels = dict(zip(feedback["request_id"].to_pylist(), feedback["label"].to_pylist(), strict=True))
    place = {name: position for position, name in enumerate(classes)}
    requests = rows["request_id"].to_pylist()
    positions = np.array([place.get(labels.get(one, ""), -1) for one in requests], dtype=np.int64)
    return positions, np.array([one in labels for one in requests], dtype=np.bool_)


def _read_reference(bundle: Bundle, lens: Lens, known: Known, store: Store) -> tuple[Sample, NDArray[np.int64]]:
    """Read the release's reference; one of an earlier version lacks columns, so that known images stand in for it."""
    table = read_table(store, f"{release_address(bundle.manifest.project, bundle.digest)}/{REFERENCE}")
    needed = {*lens.names, "probabilities", *(["embedding"] if lens.embedded else [])}
    complete = needed <= set(table.column_names) and not any(table[name].null_count for name in needed)
    if not complete:
        sample = lens.observe(known.images)
        return sample, np.where(known.labels < 0, sample.answers, known.labels)
    sample = to_sample(table.slice(0, 2 * MOST_ROWS), lens)
    place = {name: position for position, name in enumerate(bundle.manifest.classes)}
    told = table["label"].to_pylist()[: len(sample)] if "label" in table.column_names else [""] * len(sample)
    labels = np.array([place.get(label or "", -1) for label in told], dtype=np.int64)
    return sample, np.where(labels < 0, sample.answers, labels)
