"""Measure a model on the sealed test split."""

import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from mlflow.entities import Metric
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from include.contracts import BudgetReport, DatasetRef, EvaluationReport, ModelRef
from include.errors import DataQualityError
from include.evaluation.answers import Answers, arrange, publish_answers
from include.evaluation.behaviour import measure_behaviour
from include.evaluation.budgets import measure_budget
from include.evaluation.calibration import measure_reliability
from include.evaluation.measures import measure_answers
from include.evaluation.pictures import draw_confusion, draw_reliability
from include.evaluation.report import page_address, publish_page
from include.evaluation.slices import SLICE_COLUMNS, measure_slices
from include.evaluation.totals import tabulate_costs
from include.project import Project
from include.storage import Store
from include.tracking import Tracking, calibration_path, confusion_path, evaluation_folder
from include.vision.graphs import export_once
from include.vision.images import ImageSet, read_sealed_split, split_digest
from include.vision.networks import Classifier
from include.vision.weights import load_classifier

logger = logging.getLogger(__name__)


def evaluate_model(
    model: ModelRef, dataset: DatasetRef, project: Project, store: Store, tracking: Tracking
) -> EvaluationReport:
    """Measure a model on the test split of a dataset version, which need not be the one it was trained on.

    Champion and candidate are both measured on the candidate's dataset, so that their reports compare. The answers to
    single images and a page for people are left in the store, under addresses made of the model and the test images.

    :raises DataQualityError: the test split is empty, lacks a class or has an unknown one: no evidence is no pass.
    :raises ContractViolationError: a measure of the project's own cannot be found or gives no number.
    """
    test, rows = read_sealed_split(dataset, store, SLICE_COLUMNS)
    _check_evidence(test, dataset, project)
    folder = tracking.fetch_candidate(model)
    classifier, known = load_classifier(folder)
    answers = answer(classifier, known, test, project)
    report = measure(model, test, rows, answers, project)
    report = report.model_copy(
        update={
            "measures": report.measures | _measure_behaviour(classifier, known, test, project),
            "budget": _measure_budget(model, folder, test, project, store),
            "answers": publish_answers(model, test, answers, store),
            "page": page_address(report),
        }
    )
    publish_page(report, test, answers, project, store)
    _log_evaluation(report, answers, tracking)
    logger.info("accuracy %.4f on %d test images of %s", report.accuracy, report.images, dataset.address)
    return report


def answer(classifier: Classifier, known: Sequence[str], test: ImageSet, project: Project) -> Answers:
    """Let a model answer the test images.

    :param known: The model's classes, in the order of its outputs.
    """
    probabilities = classifier.predict_probabilities(test.images)
    return Answers(
        labels=test.labels,
        predicted=[known[index] for index in probabilities.argmax(axis=1)],
        probabilities=arrange(probabilities, known, project.classes),
        classes=project.classes,
        costs=tabulate_costs(project.evaluation.costs, project.classes),
    )


def measure(model: ModelRef, test: ImageSet, rows: pa.Table, answers: Answers, project: Project) -> EvaluationReport:
    """Measure answers as a whole, by class and by slice; a class the model does not know counts as missed.

    :param rows: Columns `SLICE_COLUMNS` of the test images.
    """
    slices, by_slice = measure_slices(project.evaluation.slices, rows, answers.right)
    measures = measure_answers(answers, project.evaluation.measures) | by_slice
    return EvaluationReport(
        model=model,
        test_digest=split_digest(test),
        images=len(test.labels),
        accuracy=measures["accuracy"],
        macro_f1=measures["macro_f1"],
        worst_class_recall=measures["worst_class_recall"],
        recall_by_class={name: measures[f"recall_{name}"] for name in project.classes},
        accuracy_by_partition=_accuracy_by_partition(test, answers.right),
        measures=measures,
        slices=slices,
    )


def _measure_behaviour(
    classifier: Classifier, known: Sequence[str], test: ImageSet, project: Project
) -> dict[str, float]:
    return measure_behaviour(
        lambda images: classifier.predict_probabilities(images).argmax(axis=1),
        test.images,
        [known.index(label) if label in known else len(known) for label in test.labels],
        flips=project.evaluation.flips_allowed,
    )


def _measure_budget(
    model: ModelRef, folder: Path, test: ImageSet, project: Project, store: Store
) -> BudgetReport | None:
    """Measure the graph where the project has a budget: an export takes as long as all the rest."""
    evaluation = project.evaluation
    budgets = (evaluation.max_latency_ms, evaluation.max_model_mb, evaluation.max_memory_mb)
    if (*budgets, evaluation.min_images_per_second) == (None,) * 4:
        return None
    return measure_budget(export_once(model, folder, store), test.images[0], evaluation)


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


def _accuracy_by_partition(test: ImageSet, right: NDArray[np.bool_]) -> dict[str, float]:
    partitions = np.array(test.partitions)
    return {str(one): float(right[partitions == one].mean()) for one in np.unique(partitions)}


def _log_evaluation(report: EvaluationReport, answers: Answers, tracking: Tracking) -> None:
    """Log under the digest of the test split: a later measurement on other images stands beside this one."""
    run_id, folder = report.model.run_id, evaluation_folder(report.test_digest)
    matrix = confusion_matrix(answers.labels, answers.predicted, labels=answers.classes)
    reliability = measure_reliability(answers.probabilities.max(axis=1), answers.right)
    title, now = f"{report.images} test images", round(1000 * time.time())
    # Scores of single classes stand in the report: MLflow takes no name that a class may have.
    shown = {name: value for name, value in report.measures.items() if name.isidentifier() and name.isascii()}
    metrics = [Metric(f"{folder}/{name}", value, now, 0) for name, value in {**shown, "images": report.images}.items()]
    with tracking.connect() as client, tempfile.TemporaryDirectory() as scratch:
        client.log_batch(run_id, metrics)
        path = Path(scratch) / "report.json"
        path.write_text(report.model_dump_json(indent=2))
        client.log_artifact(run_id, str(path), folder)
        client.log_figure(run_id, draw_confusion(matrix, answers.classes, title), confusion_path(report.test_digest))
        client.log_figure(run_id, draw_reliability(reliability, title), calibration_path(report.test_digest))
