"""Measure a model on the sealed test split."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
)

from include.contracts import DatasetRef, EvaluationReport, ModelRef
from include.errors import DataQualityError
from include.project import Project
from include.storage import Store
from include.tracking import Tracking, confusion_path, evaluation_folder
from include.vision.images import ImageSet, read_split, split_digest
from include.vision.weights import load_classifier

logger = logging.getLogger(__name__)


def evaluate_model(
    model: ModelRef, dataset: DatasetRef, project: Project, store: Store, tracking: Tracking
) -> EvaluationReport:
    """Measure a model on the test split of a dataset version, which need not be the one it was trained on.

    Champion and candidate are both measured on the candidate's dataset, so that their reports compare.

    :raises DataQualityError: the test split is empty, lacks a class or has an unknown one: no evidence is no pass.
    """
    test = read_split(dataset, store, "test", project.data)
    _check_evidence(test, dataset, project)
    classifier, classes = load_classifier(tracking.fetch_candidate(model))
    predicted = [classes[index] for index in classifier.predict_probabilities(test.images).argmax(axis=1)]
    report = measure(model, test, predicted, project.classes)
    _log_evaluation(report, confusion_matrix(test.labels, predicted, labels=list(project.classes)), tracking)
    logger.info("accuracy %.4f on %d test images of %s", report.accuracy, report.images, dataset.address)
    return report


def measure(model: ModelRef, test: ImageSet, predicted: Sequence[str], classes: Sequence[str]) -> EvaluationReport:
    """Compare predicted with true labels; a class the model does not know counts as missed."""
    names = list(classes)
    recalls = recall_score(test.labels, predicted, labels=names, average=None, zero_division=0.0)
    recall_by_class = {name: float(recall) for name, recall in zip(names, recalls, strict=True)}
    return EvaluationReport(
        model=model,
        test_digest=split_digest(test),
        images=len(test.labels),
        accuracy=float(accuracy_score(test.labels, predicted)),
        macro_f1=float(f1_score(test.labels, predicted, labels=names, average="macro", zero_division=0.0)),
        worst_class_recall=min(recall_by_class.values()),
        recall_by_class=recall_by_class,
        accuracy_by_partition=_accuracy_by_partition(test, predicted),
    )


def draw_confusion(matrix: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix: true classes down, predicted classes across, counts in the cells."""
    size = max(4.0, 0.45 * len(classes) + 2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=0 if max(map(len, classes)) < 4 else 90)
    axes.set_yticks(range(len(classes)), classes)
    return figure


def _check_evidence(test: ImageSet, dataset: DatasetRef, project: Project) -> None:
    name = f"dataset {dataset.project} version {dataset.version}"
    if not test.labels:
        raise DataQualityError(f"{name}: no labelled test image; ingest more days or raise data.test_share")
    counts = {label: test.labels.count(label) for label in (*project.classes, *sorted(set(test.labels)))}
    unknown = {label: count for label, count in counts.items() if label not in project.classes}
    absent = [label for label in project.classes if counts[label] == 0]
    if unknown or absent:
        raise DataQualityError(
            f"{name}: among {len(test.labels)} test images, classes without any: {', '.join(absent) or '-'}; "
            f"labels that are no class of {project.name}: {unknown or '-'}; ingest labelled images of every class"
        )


def _accuracy_by_partition(test: ImageSet, predicted: Sequence[str]) -> dict[str, float]:
    hits: dict[str, list[bool]] = {}
    for partition, label, guess in zip(test.partitions, test.labels, predicted, strict=True):
        hits.setdefault(partition, []).append(label == guess)
    return {partition: sum(hit) / len(hit) for partition, hit in sorted(hits.items())}


def _log_evaluation(report: EvaluationReport, matrix: NDArray[np.int64], tracking: Tracking) -> None:
    """Log under the digest of the test split: a later measurement on other images stands beside this one."""
    run_id, folder = report.model.run_id, evaluation_folder(report.test_digest)
    figure = draw_confusion(matrix, list(report.recall_by_class), f"{report.images} test images")
    with tracking.connect() as client, tempfile.TemporaryDirectory() as scratch:
        for name in ("accuracy", "macro_f1", "worst_class_recall", "images"):
            client.log_metric(run_id, f"{folder}/{name}", getattr(report, name))
        path = Path(scratch) / "report.json"
        path.write_text(report.model_dump_json(indent=2))
        client.log_artifact(run_id, str(path), folder)
        client.log_figure(run_id, figure, confusion_path(report.test_digest))
