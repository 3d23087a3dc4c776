"""Cross-validate settings: train on all folds but one, and measure on that one, each fold by itself."""

import logging
import statistics
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from mlflow.entities import Metric
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from include.contracts import DatasetRef, FoldReport
from include.errors import DataQualityError
from include.ledger import Ledger
from include.ledger.datasets import record_read
from include.project import Project, TrainingConfig
from include.storage import Store
from include.tracking import Tracking
from include.training.locks import one_at_a_time
from include.training.nested_runs import NestedRun, open_part, open_study_run
from include.training.optimise import fit_classifier
from include.training.provenance import candidate_key
from include.training.samples import Samples
from include.vision.images import read_rows, read_split
from include.vision.twins import find_twins, read_fingerprints

logger = logging.getLogger(__name__)

UNSEALED = ("train", "validation")


def cross_validate(
    project: Project, dataset: DatasetRef, store: Store, ledger: Ledger, tracking: Tracking, fold: int
) -> FoldReport:
    """Train on the other folds with the project's settings, and measure on one.

    :param fold: Which, from 0 to `tuning.measured_folds` - 1.
    :raises DataQualityError: a class has fewer groups than there are folds.
    """
    study, parent = open_validation(project, dataset, ledger, tracking)
    record_read(ledger, dataset, "train", study)
    images, targets, groups = _read(project, dataset, store)
    held_out = deal_folds(targets, groups, project.tuning.measured_folds, project.training.seed) == fold
    train, validation = _select(images, targets, ~held_out), _select(images, targets, held_out)
    training = _begin_from_nothing(project.training)
    with open_part(tracking, parent, study, f"fold {fold}", training.model_dump()) as run:
        _, best = fit_classifier(training, len(project.classes), train, validation, run.add_epoch)
    logger.info("fold %d: accuracy %.4f on %d images", fold, best.validation_accuracy, len(validation))
    return FoldReport(fold=fold, images=len(validation), accuracy=best.validation_accuracy, loss=best.validation_loss)


def _begin_from_nothing(training: TrainingConfig) -> TrainingConfig:
    """The champion has learned from the images that a fold holds out."""
    warm = training.mode == "warm_start"
    return training.model_copy(update={"mode": "full", "weights": ""}) if warm else training


def open_validation(project: Project, dataset: DatasetRef, ledger: Ledger, tracking: Tracking) -> tuple[str, NestedRun]:
    """Name the cross-validation of settings on a dataset version, and open the MLflow run above those of its folds."""
    name = f"{project.name}/folds/{candidate_key(project, dataset)}"
    with one_at_a_time(ledger, name):
        return name, open_study_run(tracking, project.name, name, "cross-validation")


def deal_folds(targets: NDArray[np.int64], groups: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each image: no group is in two folds, and the classes are spread evenly over them.

    :param targets: Class of each image, [N].
    :raises DataQualityError: a class has fewer groups than there are folds.
    """
    for target in np.unique(targets):
        found = len({group for group, own in zip(groups, targets, strict=True) if own == target})
        if found < folds:
            raise DataQualityError(
                f"class number {target} has {found} groups, too few for tuning.folds {folds}: images of one group "
                "and near-duplicates stay together; ingest more groups or lower tuning.folds"
            )
    dealt = np.full(len(targets), -1)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(splitter.split(targets, targets, groups)):
        dealt[held_out] = number
    return dealt


def log_folds(reports: Sequence[FoldReport], tracking: Tracking, run_id: str) -> dict[str, float]:
    """Log mean and sample standard deviation over at least two folds into a run; return them."""
    measures: dict[str, float] = {}
    for name in ("accuracy", "loss"):
        values = [getattr(report, name) for report in reports]
        measures |= {f"folds_{name}_mean": statistics.mean(values), f"folds_{name}_sd": statistics.stdev(values)}
    now = int(time.time() * 1000)
    with tracking.connect() as client:
        client.log_batch(run_id, [Metric(name, value, now, 0) for name, value in measures.items()])
    logger.info("accuracy over %d folds: %.4f ± %.4f", len(reports), *list(measures.values())[:2])
    return measures


def join_twins(rows: pa.Table, bits: int) -> dict[str, str]:
    """Name the cluster of every image: images of one group, near-duplicates, and whatever these chain together.

    :param rows: Columns `digest`, `group`, `phash` and `embedding`.
    :param bits: As in `find_twins`; 0 looks for none.
    :returns: Digest -> name of the cluster.
    """
    groups = rows["group"].combine_chunks().dictionary_encode()
    numbers = groups.indices.to_numpy()
    twins = numbers[find_twins(*read_fingerprints(rows), bits)] if bits else np.empty((0, 2), np.int64)
    size = len(groups.dictionary)
    linked = coo_array((np.ones(len(twins), bool), twins.T), shape=(size, size))
    _, clusters = connected_components(linked, directed=False)
    return dict(zip(rows["digest"].to_pylist(), map(str, clusters[numbers]), strict=True))


def _read(
    project: Project, dataset: DatasetRef, store: Store
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64], list[str]]:
    """Read what is not sealed: images, the index of each one's class, and the name of its cluster."""
    rows = read_rows(dataset, store, ["digest", "group", "split", "phash", "embedding"])
    cluster = join_twins(rows.filter(pc.is_in(rows["split"], pa.array(UNSEALED))), project.data.near_duplicate_bits)
    images: list[NDArray[np.uint8]] = []
    labels: list[str] = []
    groups: list[str] = []
    for split in UNSEALED:
        read = read_split(dataset, store, split, project.data)
        images, labels = images + list(read.images), labels + read.labels
        groups += [cluster[digest] for digest in read.digests]
    unknown = sorted(set(labels) - set(project.classes))
    if unknown:
        raise DataQualityError(
            f"images labelled {', '.join(unknown)}, which are no classes of {project.name}; correct the labels or add "
            "the classes"
        )
    return images, np.array([project.classes.index(label) for label in labels]), groups


def _select(images: Sequence[NDArray[np.uint8]], targets: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Samples:
    return Samples([images[index] for index in np.flatnonzero(chosen).tolist()], torch.from_numpy(targets[chosen]))
