"""Detect, at whatever moment one looks, that an average has risen above a bound since some unknown moment.

An e-detector (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New
England Journal of Statistics in Data Science 2, 2024): somebody who bets against health begins at every moment, each
with the share of 1 that has gone by of an hour, and all their wealth is added up. While the average keeps to its bound,
wealth is money put in, on average; so it is `HOURS_PER_QUARTER` not before a quarter, on average: one false alarm a
quarter at most. Stakes are shares of one's wealth (Waudby-Smith and Ramdas, JRSS B 86, 2024).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

# Shares of the wealth that are staked: small ones find a small rise at all, large ones a large rise soon.
STAKES = np.array([0.05, 0.1, 0.2, 0.4, 0.6, 0.8])
# More would say no more to anybody, and infinity is no JSON.
CEILING = 1e12

Values = NDArray[np.float64]


def weigh_rise(scores: Values, bound: float, hours: Values) -> float:
    """Weigh the evidence that the mean of scores has risen above a bound; alarm once it is `HOURS_PER_QUARTER`.

    It needs that a score is, whatever came before it, at most the bound in expectation while all is well.

    :param scores: In [0, 1], in the order in which they became known [N].
    :param bound: Nothing rises above 1; below a thousandth, as a thousandth.
    :param hours: When each became known, in hours since any moment [N]. An hour without any puts in no more than one
        hour's money: silence is no evidence.
    """
    return float(trace_rise(scores, bound, hours)[-1]) if len(scores) else 0.0


def trace_rise(scores: Values, bound: float, hours: Values) -> Values:
    """Weigh the evidence after each score [N]; see `weigh_rise`."""
    if bound >= 1:
        return np.zeros(len(scores))
    wealth = np.log1p(np.outer(scores / max(bound, 1e-3) - 1, STAKES)).cumsum(axis=0)
    before = np.vstack([np.zeros(len(STAKES)), wealth[:-1]])
    passed = np.concatenate([[1.0], np.clip(np.diff(hours), 0.0, 1.0)])
    with np.errstate(divide="ignore"):
        begun = np.logaddexp.accumulate(np.log(passed)[:, None] - before, axis=0)
    logs = logsumexp(wealth + begun, axis=1) - math.log(len(STAKES))
    return np.asarray(np.exp(np.minimum(logs, math.log(CEILING))))
