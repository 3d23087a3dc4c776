"""How frequent the classes are now, when their images look as ever."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ITERATIONS = 500
TOLERANCE = 1e-6


def estimate_priors(probabilities: Values, known: Values) -> Values:
    """Return the most likely shares of the classes, [classes], among images that nobody labelled.

    Expectation maximisation: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities" (Neural Computation, 2002).

    :param probabilities: Of each class for each image, [n, classes].
    :param known: Shares of the classes in the sample that the model's probabilities are right for, [classes].
    """
    priors = known = known / known.sum()
    for _ in range(ITERATIONS):
        before = priors
        priors = adjust(probabilities, priors / known).mean(axis=0)
        if np.abs(priors - before).max() < TOLERANCE:
            break
    return np.asarray(priors)


def adjust(probabilities: Values, ratios: Values) -> Values:
    """Return the probabilities, [n, classes], under classes that are so many times as frequent, [classes]."""
    joint = probabilities * ratios
    return np.asarray(joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300))
