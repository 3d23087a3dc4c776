"""Explain a model on the same few images every time, and on its worst errors, on one page for people."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.contracts import CueRemovalReport, ModelRef
from include.evaluation.cues import measure_without_cues
from include.evaluation.explain import METHODS, Explanation, draw_overlay, explain_images, list_methods
from include.evaluation.pictures import embed_image
from include.evaluation.report import TEMPLATES
from include.project import Project
from include.storage import Store
from include.tracking import Tracking
from include.vision.images import ImageSet, read_sealed_split
from include.vision.networks import Classifier
from include.vision.weights import load_classifier

WORST = 6
# A sum further off than this says that a method took too few steps for this network.
GAPS = {"integrated_gradients": 0.05, "gradient_shap": 0.25}


def choose_probes(labels: Sequence[str], digests: Sequence[str], count: int) -> list[int]:
    """Choose images to explain: of each class in turn the one with the smallest digest.

    More test images change the choice only where one of them has a smaller digest: models can be looked at side by
    side over years.
    """
    by_class: dict[str, list[int]] = {}
    for place in sorted(range(len(digests)), key=digests.__getitem__):
        by_class.setdefault(labels[place], []).append(place)
    turns = zip_longest(*(by_class[label] for label in sorted(by_class)))
    return [place for place in chain.from_iterable(turns) if place is not None][:count]


def choose_worst(targets: Sequence[int], probabilities: NDArray[np.float32], count: int = WORST) -> list[int]:
    """Choose the errors with the least probability for the true class, the worst first.

    :param targets: Place of each image's class among the model's outputs; -1 for a class that it does not know.
    :param probabilities: [N, the model's classes].
    """
    true = np.asarray(targets, dtype=np.int64)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != true)
    given = np.where(true[wrong] >= 0, probabilities[wrong, true[wrong]], 0)
    return [int(place) for place in wrong[np.argsort(given, kind="stable")][:count]]


def explanations_address(model: ModelRef) -> str:
    """Address of the page that explains a model."""
    return f"{model.project}/reports/explanations/{model.key.removeprefix('sha256:')[:12]}/index.html"


def explain_model(
    model: ModelRef, project: Project, store: Store, tracking: Tracking
) -> tuple[str, tuple[CueRemovalReport, ...]]:
    """Explain a model on the sealed test images of its dataset; return the page's address, and what cues are worth.

    :raises DataQualityError: no test image has a class that the model knows.
    """
    test, _ = read_sealed_split(model.dataset, store, [])
    classifier, known = load_classifier(tracking.fetch_candidate(model))
    address = publish_explanations(model, classifier, known, test, project, store)
    places = [place for place, label in enumerate(test.labels) if label in known]
    targets = [known.index(test.labels[place]) for place in places]
    return address, measure_without_cues(classifier, [test.images[place] for place in places], targets)


def publish_explanations(
    model: ModelRef, classifier: Classifier, known: Sequence[str], test: ImageSet, project: Project, store: Store
) -> str:
    """Write the page that explains a model's answers, and return its address.

    :param known: The model's classes, in the order of its outputs.
    :param test: The sealed test images.
    """
    probabilities = classifier.predict_probabilities(test.images)
    targets = [known.index(label) if label in known else -1 for label in test.labels]
    probes = choose_probes(test.labels, test.digests, project.evaluation.probe_images)
    worst = choose_worst(targets, probabilities)
    rows = list(dict.fromkeys([*probes, *worst]))
    images = [test.images[row] for row in rows]
    answers = probabilities[rows].argmax(axis=1).tolist()
    methods = list_methods(classifier)
    explained = explain_images(classifier, images, answers, methods)
    shown = {
        row: _show(test, row, known[answer], probabilities[row]) for row, answer in zip(rows, answers, strict=True)
    }
    for one in explained:
        shown[rows[one.image]]["overlays"].append(_lay_over(images[one.image], one))
    page = TEMPLATES.get_template("explanations.html").render(
        project=project,
        model=model,
        methods=methods,
        missing=[method for method in METHODS if method not in methods],
        parts=[
            ("The same images for every model", [shown[row] for row in probes]),
            ("Its worst errors", [shown[row] for row in worst]),
        ],
        gaps={method: _summarise(explained, method) for method in GAPS if method in methods},
    )
    address = explanations_address(model)
    store.write(address, page.encode())
    return address


def _show(test: ImageSet, row: int, answer: str, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "picture": embed_image(test.images[row]),
        "label": test.labels[row],
        "answer": answer,
        "confidence": float(probabilities.max()),
        "digest": test.digests[row],
        "overlays": [],
    }


def _lay_over(image: NDArray[np.uint8], explanation: Explanation) -> dict[str, Any]:
    return {
        "picture": embed_image(draw_overlay(image, explanation)),
        "gap": explanation.gap,
        "off": explanation.gap is not None and explanation.gap > GAPS[explanation.method],
    }


def _summarise(explained: Sequence[Explanation], method: str) -> dict[str, float]:
    gaps = [one.gap for one in explained if one.method == method and one.gap is not None]
    return {"median": float(np.median(gaps)) if gaps else 0.0, "most": max(gaps, default=0.0), "limit": GAPS[method]}
