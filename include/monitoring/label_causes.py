"""Labels that came back other than answered, while the images look as ever: are they wrong, or is the model?"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import binomtest

from include.monitoring.causes import Explanation
from include.monitoring.observations import Sample

Values = NDArray[np.float64]

MIN_LABELS = 20
# Chance of as many wrong answers from a model as good as certified.
SURPRISE = 0.01
NEIGHBOURS = 7


def explain_by_labels(
    labelled: Sample, labels: NDArray[np.int64], classes: Sequence[str], certified: float, expected: float
) -> list[Explanation]:
    """Say how much of the lost accuracy is left to the labels, and whether these follow a rule of their own.

    A rule shows where labels tell those of other images like them: the share of the loss that a model of these labels
    would win back is a change of the concept, the rest is noise.

    :param labelled: Images whose labels came.
    :param labels: Position of the class of each, [n]; -1 for one that is none of them.
    :param certified: Accuracy on the reference.
    :param expected: Accuracy that causes in the images explain.
    """
    if len(labels) < MIN_LABELS:
        return []
    right = int((labelled.answers == labels).sum())
    accuracy = right / len(labels)
    lost = certified - accuracy
    if lost <= 0 or binomtest(right, len(labels), certified, alternative="less").pvalue > SURPRISE:
        return []
    unexplained = float(np.clip((expected - accuracy) / lost, 0, 1))
    said = f"{len(labels) - right} of {len(labels)} labels contradict the answers, certified are {1 - certified:.0%}"
    attainable = max(_learnable(labelled, labels), accuracy)
    ruled = float(np.clip((attainable - accuracy) / lost, 0, 1))
    moved = _name_moves(labelled.answers, labels, classes)
    rule = f"{said}; the labels follow a rule that would get {attainable:.0%} of them right: {moved}"
    noise = f"{said}; images that look alike are labelled differently"
    best, name = min(attainable, certified), "labels: contradict each other"
    return [
        Explanation("concept_change", f"labels: {moved}", unexplained * ruled, rule, accuracy, best),
        # The labels are worse; the model is not.
        Explanation("label_noise", name, unexplained * (1 - ruled), noise, certified, certified),
    ]


def _learnable(labelled: Sample, labels: NDArray[np.int64]) -> float:
    """Return the share of the labels that those of the other images tell: of the same answer, or of the nearest."""
    by_answer = np.zeros(len(labels))
    for row, (answer, label) in enumerate(zip(labelled.answers, labels, strict=True)):
        others = (labelled.answers == answer) & (np.arange(len(labels)) != row)
        by_answer[row] = _most_frequent(labels[others]) == label
    distances = cdist(labelled.seen, labelled.seen)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :NEIGHBOURS]
    by_look = [_most_frequent(labels[near]) == label for near, label in zip(nearest, labels, strict=True)]
    return float(max(by_answer.mean(), np.mean(by_look)))


def _most_frequent(labels: NDArray[np.int64]) -> int | None:
    return Counter(labels.tolist()).most_common(1)[0][0] if len(labels) else None


def _name_moves(answers: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    pairs = Counter((int(a), int(b)) for a, b in zip(answers, labels, strict=True) if a != b and b >= 0)
    if not pairs:
        return "a label that is no class"
    return ", ".join(f"{classes[a]} is now {classes[b]}" for (a, b), _ in pairs.most_common(2))
