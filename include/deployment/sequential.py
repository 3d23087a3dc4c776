"""E-values: evidence that one may look at after every request, and act on at any moment.

An e-value against a hypothesis is a number that is at most 1 in expectation while the hypothesis holds, at whatever
moment one looks. The chance that it ever reaches a number is at most one over that number (Ville 1939, Étude critique
de la notion de collectif; Ramdas, Grünwald, Vovk and Shafer, Statistical Science 38, 2023). Each one here is a mixture
of likelihood ratios (Robbins, Ann. Math. Stat. 41, 1970) and a function of counts alone: it does not matter in which
order these came in, nor when.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import betaincc, betaln, xlog1py, xlogy

# More would say no more to anybody, and infinity is no JSON.
CEILING = 1e12
# Times as often as the champion: half steps of two, up to what turns 1 % of errors into all of them.
RATIOS = 2.0 ** np.arange(0.5, 7.5, 0.5)
# Requests' worth of belief that shares are as asked for.
CONCENTRATION = 10.0


class Split(NamedTuple):
    """Events while a release had one share of the traffic: how many were its own, how many the champion's."""

    share: float
    release: int
    champion: int


def weigh_excess(events: int, trials: int, limit: float) -> float:
    """Weigh the evidence against: the chance of an event is at most `limit`.

    The mixture is over all chances above the limit, alike; each of its likelihood ratios grows with the chance, and is
    1 in expectation at the limit. At one half it is a sign test.

    :param limit: In [0, 1]; nothing exceeds 1.
    """
    if limit >= 1:
        return 1.0
    first, second = events + 1, trials - events + 1
    # betaincc is 0 where the events are too few by far for a double: no evidence.
    with np.errstate(divide="ignore"):
        above = np.log(betaincc(first, second, limit)) - math.log1p(-limit) + betaln(first, second)
    return _to_evidence(above - xlogy(events, limit) - xlog1py(trials - events, -limit))


def weigh_shortfall(events: int, trials: int, limit: float) -> float:
    """Weigh the evidence against: the chance of an event is at least `limit`."""
    return weigh_excess(trials - events, trials, 1 - limit)


def weigh_ratio(splits: Iterable[Split], *, rarer: bool = False) -> float:
    """Weigh the evidence against: an event is no more frequent with the release than with the champion.

    Whose traffic an event comes from is, if both are equal, drawn with the release's share, whatever the number of
    requests and whatever the frequency (Lindon and Malek, arXiv 2011.03567; Lindon, Sanden and Shirikian, arXiv
    2205.14762). If events are r times as frequent with the release, it is drawn with sr / (sr + 1 - s). Steps of
    different shares s multiply; the mixture is over r in `RATIOS`, of all of them together.

    :param rarer: Weigh it against "no less frequent" instead.
    """
    ratios = 1 / RATIOS if rarer else RATIOS
    logs = np.zeros_like(ratios)
    for share, release, champion in splits:
        if 0 < share < 1:
            logs += release * np.log(ratios) - (release + champion) * np.log1p(share * (ratios - 1))
    return _to_evidence(np.logaddexp.reduce(logs) - math.log(len(ratios)))


def weigh_imbalance(splits: Iterable[Split]) -> float:
    """Weigh the evidence against: the release has the share of the traffic that it was meant to have.

    A sequential test for sample ratio mismatch (Lindon and Malek, arXiv 2011.03567): for each share, a Beta mixture
    around it.
    """
    log = 0.0
    for share, release, champion in splits:
        if 0 < share < 1:
            prior = CONCENTRATION * share, CONCENTRATION * (1 - share)
            drawn = betaln(prior[0] + release, prior[1] + champion) - betaln(*prior)
            log += drawn - xlogy(release, share) - xlog1py(champion, -share)
    return _to_evidence(log)


def _to_evidence(log: float) -> float:
    return math.exp(min(float(log), math.log(CEILING)))
