"""Measures of a model's answers by name: ours, and those a project brings along."""

import math
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from include.errors import ContractViolationError
from include.evaluation.answers import Answers
from include.evaluation.calibration import measure_reliability

Measure = Callable[[Answers], float]
SCORES = ("precision", "recall", "f1")


def measure_answers(answers: Answers, plugins: Sequence[str]) -> dict[str, float]:
    """Compute every measure of `MEASURES`, of the project's own, and the scores of each class.

    The scores of a class are `precision_<class>`, `recall_<class>` and `f1_<class>`; 0 where nothing was called so.

    :param plugins: Measures of the project, `module:function`; such a function takes `Answers`, and its name is the
        measure's.
    :raises ContractViolationError: a plug-in cannot be found, takes the name of another measure, or gives no number.
    """
    measures = MEASURES | load_measures(plugins)
    values = {name: float(measure(answers)) for name, measure in measures.items()} | _score_classes(answers)
    if wrong := {name: value for name, value in values.items() if not math.isfinite(value)}:
        raise ContractViolationError(f"no evidence is no pass, and these measures are no numbers: {wrong}")
    return values


def load_measures(plugins: Iterable[str]) -> dict[str, Measure]:
    """Find measures by `module:function`.

    :raises ContractViolationError: there is no such function, or its name is taken.
    """
    found: dict[str, Measure] = {}
    for plugin in plugins:
        module, _, name = plugin.partition(":")
        try:
            measure: Measure = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ContractViolationError(
                f"evaluation.measures: no {plugin!r}: {error}; write `module:function`"
            ) from error
        if name in MEASURES | found:
            raise ContractViolationError(f"evaluation.measures: {plugin!r} takes the name of another measure, {name}")
        found[name] = measure
    return found


def _score_classes(answers: Answers) -> dict[str, float]:
    scores = _score(answers, None)
    names = [f"{score}_{label}" for score in SCORES for label in answers.classes]
    return dict(zip(names, np.concatenate(scores).tolist(), strict=True))


def _score(answers: Answers, average: str | None) -> tuple[NDArray[np.float64], ...]:
    """Return precision, recall and F1, of each class or averaged."""
    scores = precision_recall_fscore_support(
        answers.labels, answers.predicted, labels=answers.classes, average=average, zero_division=0.0
    )
    return tuple(np.asarray(score) for score in scores[:3])


def _averaged(score: int, average: str) -> Measure:
    return lambda answers: _score(answers, average)[score].item()


def _balanced_accuracy(answers: Answers) -> float:
    """Average recall of the classes that are there."""
    there = sorted(set(answers.labels))
    return float(recall_score(answers.labels, answers.predicted, labels=there, average="macro", zero_division=0.0))


def _log_loss(answers: Answers) -> float:
    """Mean negative log likelihood; a probability of 0 of what is true costs as much as the smallest of float32."""
    rest = np.clip(1 - answers.probabilities.sum(axis=1, keepdims=True), 0, 1)
    padded = np.hstack([answers.probabilities, rest]).astype(np.float32)
    padded /= padded.sum(axis=1, keepdims=True)
    true = [answers.classes.index(label) for label in answers.labels]
    return float(log_loss(true, padded, labels=range(padded.shape[1])))


def _auc_roc(answers: Answers) -> float:
    """Area under the ROC curve of each class against the rest, averaged over the classes."""
    one_hot = np.array(answers.labels)[:, None] == np.array(answers.classes)
    return float(roc_auc_score(one_hot, answers.probabilities, average="macro"))


def _expected_cost(answers: Answers) -> float:
    index = {name: position for position, name in enumerate(answers.classes)}
    true = [index[label] for label in answers.labels]
    said = [index.get(answer, len(index)) for answer in answers.predicted]
    return float(answers.costs[true, said].mean())


MEASURES: dict[str, Measure] = {
    "accuracy": lambda answers: float(accuracy_score(answers.labels, answers.predicted)),
    "balanced_accuracy": _balanced_accuracy,
    **{f"macro_{score}": _averaged(index, "macro") for index, score in enumerate(SCORES)},
    **{f"weighted_{score}": _averaged(index, "weighted") for index, score in enumerate(SCORES)},
    "worst_class_recall": lambda answers: float(_score(answers, None)[1].min()),
    "auc_roc": _auc_roc,
    "log_loss": _log_loss,
    "calibration_error": lambda answers: measure_reliability(answers.probabilities.max(axis=1), answers.right).error,
    "expected_cost": _expected_cost,
}
