"""Evidence that traffic differs from a reference by more than the reference may err, and by enough to matter.

Each answer of a window is a round in which one bets against health: that its score, in [0, 1], is no higher on average
than a bound. Stakes are a share of what one has, so the wealth of a bettor who began with 1 is at most 1 in
expectation while that is so, whatever the number of answers (Waudby-Smith and Ramdas, "Estimating means of bounded
random variables by betting", JRSS B 86, 2024; for two samples Podkopaev and Ramdas, "Sequential predictive two-sample
testing by classification", NeurIPS 2023). No table of critical values, no asymptotics: 50 answers and 5,000 keep the
same promise. Scores are ranks among the reference, so that they need no unit.

The bound is what healthy traffic may reach: the reference is a sample, too, and errs, and a difference below
`TOLERANCE` matters to nobody. Against smaller differences every stake loses money, however many answers there are.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import beta, norm

# Mean rank, and share of answers, that healthy traffic may lie off. A mean rank of 0.55 is Cohen's d of 0.18, below
# what he calls small (Statistical Power Analysis for the Behavioral Sciences, 1988).
TOLERANCE = 0.05
# Chance that one bound is off because of the images that happened to be in the reference. With some ninety bets, less
# than one alarm a quarter, even if all of its hours were called drift for as long as such a release serves.
DOUBT = 3e-6
# Of the reference, counted as the tail on one side.
TAIL = 0.02
# Shares of the wealth that are staked; the largest finds strong shifts fast, the smallest weak ones at all.
STAKES = np.array([0.1, 0.2, 0.4, 0.8])
# Vectors that a witness function is made of: more would cost time and see little more.
WITNESSES = 500

# Of all classes that the reference lacks.
OTHER = ""

Numbers = NDArray[np.float64]
Vectors = NDArray[np.float32]


def weigh_numbers(reference: Numbers, window: Numbers) -> float:
    """Weigh whether numbers lie higher, lower, further out, closer in, or more often in a tail than the reference.

    :param reference: [M], M >= 1.
    :param window: [N].
    :return: Logarithm of the e-value.
    """
    ranks, own = _rank(reference, window), _rank(reference, reference)
    slack = _slacken(len(reference))
    middle = float(_spread(own).mean())
    wealth = [
        _bet(ranks, 0.5 + slack),
        _bet(1 - ranks, 0.5 + slack),
        _bet(_spread(ranks), middle + slack),
        _bet(1 - _spread(ranks), 1 - middle + slack),
        _bet_on_tail(reference, window),
        _bet_on_tail(-reference, -window),
    ]
    return _mix(wealth)


def weigh_classes(reference: Sequence[str], window: Sequence[str]) -> float:
    """Weigh whether any class is more frequent, or less, than in the reference; those it lacks count as one.

    Also whether the classes that one half of the window has more often are more frequent in the other half, too: what
    many classes gain or lose together.

    :param reference: Names [M], M >= 1.
    :param window: Names [N].
    :return: Logarithm of the e-value.
    """
    known = Counter(reference)
    names = [name if name in known else OTHER for name in window]
    found, total = Counter(names), len(reference)
    wealth = [_bet_on_share(found[OTHER], len(names), _bound_unseen(known))]
    for name, count in known.items():
        wealth.append(_bet_on_share(found[name], len(names), _bound_share(count, total)))
        wealth.append(_bet_on_share(len(names) - found[name], len(names), _bound_share(total - count, total)))
    wealth += [_bet_on_favoured(known, names[turn::2], names[1 - turn :: 2]) for turn in (0, 1)]
    return _mix(wealth)


def weigh_vectors(reference: Vectors, window: Vectors) -> tuple[float, Numbers]:
    """Weigh whether vectors lie elsewhere than the reference's, by what one half of the window tells of the other.

    One half and the reference give the witness function of the maximum mean discrepancy (Gretton et al., "A kernel
    two-sample test", JMLR 13, 2012; Gaussian kernel, median distance); one bets that the other half has higher values
    of it than the reference (Shekhar and Ramdas, "Nonparametric two-sample testing by betting", IEEE Trans. Inf. Theory
    70, 2023). The halves change places, and the mean of the two e-values is one.

    :param reference: [M, D].
    :param window: [N, D].
    :return: Logarithm of the e-value; rank of each vector of the window, in [0, 1]: 1 is like nothing in the reference.
    """
    known = _thin(reference)
    scale = _median_distance(known)
    inside = _kernel(known, known, scale)
    own = (inside.sum(axis=1) - 1) / max(1, len(known) - 1)
    ranks, wealth = np.full(len(window), 0.5), []
    for turn in (0, 1):
        learnt, judged = _thin(window[turn::2]), window[1 - turn :: 2]
        if not len(learnt) or not len(judged):
            continue
        healthy = _kernel(known, learnt, scale).mean(axis=1) - own
        seen = _kernel(judged, learnt, scale).mean(axis=1) - _kernel(judged, known, scale).mean(axis=1)
        ranks[1 - turn :: 2] = places = _rank(healthy, seen)
        # The same reference told what to look for: it errs like one of half its size.
        slack = _slacken(len(known) // 2)
        wealth += [_bet(places, 0.5 + slack), _bet_on_tail(healthy, seen)]
    return _mix(wealth), ranks


def _rank(reference: Numbers, values: Numbers) -> Numbers:
    """Return the share of the reference below each value; an equal one counts as a half."""
    ordered = np.sort(reference)
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + upto) / (2 * len(ordered))


def _slacken(images: int) -> float:
    """Return how far the mean rank of healthy traffic may lie off, for the reference's size alone or for no reason."""
    return max(TOLERANCE, -float(norm.ppf(DOUBT)) / math.sqrt(12 * max(1, images)))


def _spread(ranks: Numbers) -> Numbers:
    return np.abs(2 * ranks - 1)


def _bet_on_tail(reference: Numbers, window: Numbers) -> Numbers:
    """Bet that more of the window than of the reference lies above the reference's upper tail."""
    edge = np.sort(reference)[-(math.ceil(TAIL * len(reference)) + 1) :][0]
    bound = _bound_share(int((reference > edge).sum()), len(reference))
    return _bet_on_share(int((window > edge).sum()), len(window), bound)


def _bound_share(count: int, total: int) -> float:
    """Return the largest share that healthy traffic may have (Clopper and Pearson, Biometrika 26, 1934)."""
    upper = 1.0 if count == total else float(beta.ppf(1 - DOUBT, count + 1, total - count))
    return max(count / total + TOLERANCE, upper)


def _bound_unseen(known: Counter[str]) -> float:
    """Return the largest share that classes may have which the reference lacks by chance.

    As many as it has once, and what that is unsure by (Good, Biometrika 40, 1953; Esty, Ann. Stat. 11, 1983).
    """
    images, times = known.total(), Counter(known.values())
    variance = times[1] + 2 * times[2] - times[1] ** 2 / images
    upper = (times[1] - float(norm.ppf(DOUBT)) * math.sqrt(max(0.0, variance))) / images
    return max(times[1] / images + TOLERANCE, upper, _bound_share(0, images))


def _bet_on_favoured(known: Counter[str], learnt: Sequence[str], judged: Sequence[str]) -> Numbers:
    """Bet that the classes which one half has more often than the reference are more frequent in the other.

    No set of classes is further off in the reference than the slack, whichever is chosen (Weissman et al.,
    "Inequalities for the L1 deviation of the empirical distribution", Hewlett-Packard Labs, 2003).
    """
    images, found = known.total(), Counter(learnt)
    favoured = {name for name in known if found[name] / max(1, len(learnt)) > known[name] / images}
    share = sum(known[name] for name in favoured) / images
    slack = math.sqrt((len(known) * math.log(2) - math.log(DOUBT)) / (2 * images))
    return _bet_on_share(sum(name in favoured for name in judged), len(judged), share + max(TOLERANCE, slack))


def _bet_on_share(count: int, total: int, bound: float) -> Numbers:
    if bound >= 1:
        return np.zeros(len(STAKES))
    wealth: Numbers = count * np.log1p(STAKES * (1 / bound - 1)) + (total - count) * np.log1p(-STAKES)
    return wealth


def _bet(scores: Numbers, bound: float) -> Numbers:
    """Return the logarithm of what each stake makes of 1, if the mean score is at most the bound."""
    if bound >= 1:
        return np.zeros(len(STAKES))
    wealth: Numbers = np.log1p(np.outer(STAKES, scores / bound - 1)).sum(axis=1)
    return wealth


def _mix(wealth: list[Numbers]) -> float:
    """Begin with the same share of 1 on every bet."""
    return float(logsumexp(wealth) - math.log(np.size(wealth))) if wealth else 0.0


def _thin(vectors: Vectors) -> Vectors:
    thinned: Vectors = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), WITNESSES)).astype(int)]
    return thinned


def _median_distance(vectors: Vectors) -> float:
    distances = _squared_distances(vectors, vectors)
    return float(np.median(distances[~np.eye(len(vectors), dtype=bool)])) if len(vectors) > 1 else 1.0


def _kernel(left: Vectors, right: Vectors, scale: float) -> Vectors:
    kernel: Vectors = np.exp(-_squared_distances(left, right) / (2 * scale or 1.0))
    return kernel


def _squared_distances(left: Vectors, right: Vectors) -> Vectors:
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.asarray(np.maximum(squared, 0), dtype=np.float32)
