"""Labels that are probably wrong.

Method: confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels", JAIR 2021) as in cleanlab, on probabilities of a logistic regression that never saw the group it judges.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
MIN_GROUPS = 2 * FOLDS
MAX_ROWS = 4_000
# The doubts of a model that is itself mostly wrong say nothing about the labels.
MIN_ACCURACY = 0.6


@dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong.

    :ivar score: Probability of the given label, out of sample; the lower, the more suspect.
    """

    row: int
    label: str
    likely: str
    score: float


@dataclass(frozen=True)
class LabelNoise:
    """What was found among the labels.

    :ivar examined: Rows that were judged.
    :ivar accuracy: Share of labels the judging model agrees with, out of sample.
    :ivar suspects: Most suspect first.
    :ivar silent: Why nothing could be said; empty where something was.
    """

    examined: int = 0
    accuracy: float = 0.0
    suspects: tuple[Suspect, ...] = ()
    silent: str = ""


def find_label_noise(labels: Sequence[str | None], groups: Sequence[str], embedding: NDArray[np.uint8]) -> LabelNoise:
    """Name the rows whose label disagrees with what images like them are called.

    At most `MAX_ROWS` labelled rows are judged, the first ones; hand them over in an order that has no meaning.

    :param groups: Of each row; rows of one group never judge each other.
    :param embedding: 16 x 16 luma [N, 256].
    """
    rows = _select(labels, groups)
    names = np.array([labels[row] for row in rows], dtype=object)
    classes, given = np.unique(names, return_inverse=True)
    if len(classes) < 2:
        return LabelNoise(silent=f"needs two classes with labelled images from at least {MIN_GROUPS} groups each")
    probabilities = _judge(embedding[rows], given, [groups[row] for row in rows])
    accuracy = float((probabilities.argmax(axis=1) == given).mean())
    if accuracy < MIN_ACCURACY:
        weak = f"a linear model on 16 x 16 grey pixels gets only {accuracy:.0%} of unseen labels right"
        return LabelNoise(len(rows), accuracy, silent=f"{weak}; its doubts would mean nothing")
    return LabelNoise(len(rows), accuracy, _rank(rows, classes, given, probabilities))


def _select(labels: Sequence[str | None], groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the first rows of the classes that every fold can learn."""
    members: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        if label is not None:
            members.setdefault(label, set()).add(group)
    fit = [row for row, label in enumerate(labels) if label is not None and len(members[label]) >= MIN_GROUPS]
    return np.array(fit[:MAX_ROWS], dtype=np.int64)


def _judge(embedding: NDArray[np.uint8], given: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.float64]:
    """Return the probability of every class for every row, from models that did not see the row's group."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100, tol=1e-3))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    # On matrices this small, threads that wait for busy cores cost ten times the work.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        probabilities: NDArray[np.float64] = cross_val_predict(
            model, embedding.astype(np.float32) / 255, given, groups=groups, cv=folds, method="predict_proba"
        )
    return probabilities


def _rank(
    rows: NDArray[np.int64],
    classes: NDArray[np.object_],
    given: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> tuple[Suspect, ...]:
    from cleanlab.filter import find_label_issues

    found = find_label_issues(given, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    likely = probabilities.argmax(axis=1)
    return tuple(
        Suspect(
            int(rows[one]), str(classes[given[one]]), str(classes[likely[one]]), float(probabilities[one, given[one]])
        )
        for one in found
    )
