import itertools
import math

import pytest
from scipy.stats import binom

from include.deployment.sequential import (
    CEILING,
    Split,
    weigh_excess,
    weigh_imbalance,
    weigh_ratio,
    weigh_shortfall,
)

TRIALS = 5


def expect(weigh, trials, chance):
    """Return the expected e-value of a count that is drawn with a chance."""
    return sum(binom.pmf(count, trials, chance) * weigh(count) for count in range(trials + 1))


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5, 0.9])
def test_an_excess_is_1_in_expectation_at_the_limit_and_less_below(limit):
    assert expect(lambda count: weigh_excess(count, TRIALS, limit), TRIALS, limit) == pytest.approx(1)
    assert expect(lambda count: weigh_excess(count, TRIALS, limit), TRIALS, limit / 2) < 1
    assert expect(lambda count: weigh_excess(count, TRIALS, limit), TRIALS, (1 + limit) / 2) > 1


def test_a_shortfall_is_the_excess_of_what_did_not_happen():
    assert weigh_shortfall(2, 30, 0.2) == weigh_excess(28, 30, 0.8)
    assert expect(lambda count: weigh_shortfall(count, TRIALS, 0.2), TRIALS, 0.2) == pytest.approx(1)


@pytest.mark.parametrize("rarer", [False, True])
def test_a_ratio_is_1_in_expectation_over_steps_of_different_shares(rarer):
    errors = {0.05: 5, 0.25: 4, 0.5: 3}
    total = sum(
        math.prod(binom.pmf(count, errors[share], share) for share, count in zip(errors, counts, strict=True))
        * weigh_ratio(
            [Split(share, count, errors[share] - count) for share, count in zip(errors, counts, strict=True)],
            rarer=rarer,
        )
        for counts in itertools.product(*(range(number + 1) for number in errors.values()))
    )
    assert total == pytest.approx(1)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.75])
def test_an_imbalance_is_1_in_expectation_where_the_share_is_as_asked_for(share):
    def weigh(count):
        return weigh_imbalance([Split(share, count, TRIALS - count)])

    assert expect(weigh, TRIALS, share) == pytest.approx(1)
    assert expect(weigh, TRIALS, share / 5) > 1
    assert expect(weigh, TRIALS, (1 + share) / 2) > 1


def test_no_events_are_no_evidence():
    assert weigh_excess(0, 0, 0.05) == pytest.approx(1)
    assert weigh_shortfall(0, 0, 0.05) == pytest.approx(1)
    assert weigh_ratio([]) == weigh_ratio([Split(0.05, 0, 0)]) == pytest.approx(1)
    assert weigh_imbalance([]) == weigh_imbalance([Split(0.05, 0, 0)]) == pytest.approx(1)


def test_undivided_traffic_tells_nothing_of_shares():
    undivided = [Split(0.0, 7, 900), Split(1.0, 900, 7)]
    assert weigh_imbalance(undivided) == weigh_ratio(undivided) == pytest.approx(1)


def test_four_failures_of_a_release_with_a_twentieth_of_the_traffic_are_enough():
    assert weigh_ratio([Split(0.05, 4, 0)]) > 5 * 3 / 0.005 > weigh_ratio([Split(0.05, 3, 0)])


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.5, 1.0])
def test_evidence_is_a_finite_number_however_much_there_is(limit):
    for events, trials in [(0, 10**7), (10**7, 10**7), (10**5, 10**7), (1, 1)]:
        for weigh in (weigh_excess, weigh_shortfall):
            assert 0 <= weigh(events, trials, limit) <= CEILING * (1 + 1e-9)
    assert weigh_ratio([Split(0.05, 10**7, 0)]) == weigh_imbalance([Split(0.05, 10**7, 0)]) == pytest.approx(CEILING)


def test_nothing_exceeds_1_and_one_event_exceeds_0():
    assert weigh_excess(50, 50, 1.0) == 1
    assert weigh_excess(1, 50, 0.0) == pytest.approx(CEILING)
    assert weigh_excess(0, 50, 0.0) <= 1
