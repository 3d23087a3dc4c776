"""Answers that a hand can compute with."""

import numpy as np
import pytest

from include.evaluation.answers import Answers
from include.evaluation.totals import tabulate_costs


@pytest.fixture
def answers():
    """Six images of three classes; four answers are right, an `a` is called `b`, and a `c` is called `a`."""
    classes = ("a", "b", "c")
    probabilities = [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.9, 0], [0.5, 0.1, 0.4], [0, 0.2, 0.8]]
    return Answers(
        labels=list("aabbcc"),
        predicted=list("abbbac"),
        probabilities=np.array(probabilities),
        classes=classes,
        costs=tabulate_costs({"c": {"a": 10.0}, "a": {"b": 0.5}}, classes),
    )
