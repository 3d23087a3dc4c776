"""Write the page about one evaluation: pictures first, then numbers, self-contained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from include.contracts import EvaluationReport
from include.evaluation.answers import Answers
from include.evaluation.calibration import CALIBRATION_BINS, measure_reliability
from include.evaluation.corruption import CORRUPTIONS, SEVERITIES, corrupt
from include.evaluation.measures import MEASURES, SCORES
from include.evaluation.pictures import embed_image
from include.project import Project
from include.storage import Store
from include.vision.images import ImageSet

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ERRORS = 24
CLASSES = 30
CONFUSIONS = 12


def page_address(report: EvaluationReport) -> str:
    """Address of the page about one model on one test split."""
    key, test = (digest.removeprefix("sha256:")[:12] for digest in (report.model.key, report.test_digest))
    return f"{report.model.project}/reports/evaluation/{key}-{test}/index.html"


def publish_page(report: EvaluationReport, test: ImageSet, answers: Answers, project: Project, store: Store) -> None:
    """Write the page to `report.page`."""
    store.write(report.page, render_page(report, test, answers, project).encode())


def render_page(report: EvaluationReport, test: ImageSet, answers: Answers, project: Project) -> str:
    """Render the page about one evaluation as HTML, the same bytes for the same evaluation."""
    confidence = answers.probabilities.max(axis=1)
    own = [measure.rpartition(":")[2] for measure in project.evaluation.measures]
    fairness = [name for name in report.measures if name.startswith("gap_") or name == "worst_slice_accuracy"]
    matrix = confusion_matrix(answers.labels, answers.predicted, labels=answers.classes)
    return TEMPLATES.get_template("report.html").render(
        project=project,
        report=report,
        mistakes=_show_mistakes(test, answers),
        wrong=int((~answers.right).sum()),
        damage=_show_damage(report, test),
        measures={name: report.measures[name] for name in [*MEASURES, *own, *fairness]},
        invariance={name: value for name, value in report.measures.items() if name.startswith("invariance_")},
        classes=[(name, *(report.measures[f"{score}_{name}"] for score in SCORES)) for name in answers.classes],
        matrix=matrix.tolist() if len(answers.classes) <= CLASSES else None,
        confusions=_list_confusions(matrix, answers.classes),
        bins=_list_bins(confidence, answers),
    )


def _show_mistakes(test: ImageSet, answers: Answers) -> list[dict[str, Any]]:
    """Show the mistakes the model was surest of."""
    confidence = answers.probabilities.max(axis=1)
    wrong = np.flatnonzero(~answers.right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:ERRORS].tolist()
    return [
        {
            "picture": embed_image(test.images[row]),
            "label": answers.labels[row],
            "predicted": answers.predicted[row],
            "confidence": float(confidence[row]),
            "digest": test.digests[row],
            "partition": test.partitions[row],
        }
        for row in surest
    ]


def _show_damage(report: EvaluationReport, test: ImageSet) -> list[dict[str, Any]]:
    """Show one test image under every kind and severity of damage, with the accuracy on images so damaged."""
    image = test.images[0]
    return [
        {
            "kind": kind,
            "shown": [
                {
                    "picture": embed_image(corrupt(image, kind, severity)),
                    "accuracy": report.measures[f"robustness_{kind}_{severity}"],
                }
                for severity in SEVERITIES
            ],
        }
        for kind in CORRUPTIONS
    ]


def _list_confusions(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        {"true": classes[true], "said": classes[said], "count": int(wrong[true, said])}
        for true, said in pairs
        if wrong[true, said]
    ]


def _list_bins(confidence: NDArray[np.float64], answers: Answers) -> list[dict[str, Any]]:
    reliability = measure_reliability(confidence, answers.right)
    columns = (reliability.images.tolist(), reliability.confidence.tolist(), reliability.accuracy.tolist())
    return [
        {"low": place / CALIBRATION_BINS, "images": images, "confidence": sure, "accuracy": accuracy}
        for place, (images, sure, accuracy) in enumerate(zip(*columns, strict=True))
    ]
