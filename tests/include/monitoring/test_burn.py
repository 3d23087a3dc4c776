import pytest

from include.ledger.objectives import Tally
from include.monitoring.burn import (
    ALERTS,
    Look,
    find_alert,
    is_exhausted,
    list_lengths,
    measure_burn,
    measure_left,
)

TARGET, DAYS = 0.99, 28
FAST, MIDDLE, SLOW = ALERTS


def look(bad_share: float, events: int = 100_000, covered: float = 1.0) -> Look:
    return Look(Tally(events - round(events * bad_share), events), covered)


def looks(**bad_shares: float) -> dict[float, Look]:
    """Shares of bad events by alert, `fast`, `middle`, `slow`, both of its look backs; else none."""
    worst = dict.fromkeys(list_lengths(DAYS), 0.0)
    for alert, name in zip(ALERTS, ("fast", "middle", "slow"), strict=True):
        for length in (alert.hours, alert.still_hours):
            worst[length] = max(worst[length], bad_shares.get(name, 0))
    return {length: look(share) for length, share in worst.items()}


@pytest.mark.parametrize(
    ("share", "left", "burn"), [(0, 1.0, 0.0), (0.005, 0.5, 0.5), (0.01, 0.0, 1.0), (0.03, -2.0, 3.0)]
)
def test_the_budget_is_what_may_go_wrong(share, left, burn):
    assert measure_left(look(share), TARGET) == pytest.approx(left)
    assert measure_burn(look(share), TARGET) == pytest.approx(burn)


@pytest.mark.parametrize(
    ("shares", "alert"),
    [
        ({}, None),
        ({"fast": 0.14}, FAST),
        ({"fast": 0.13}, None),
        ({"middle": 0.06}, MIDDLE),
        ({"middle": 0.05}, None),
        ({"slow": 0.012}, SLOW),
        ({"slow": 0.0098}, None),
        ({"fast": 0.14, "middle": 0.06, "slow": 0.02}, FAST),
    ],
)
def test_the_fastest_alert_of_the_book_fires(shares, alert):
    assert find_alert(looks(**shares), TARGET, DAYS) == alert


def test_what_is_over_wakes_nobody():
    found = looks(fast=0.5)
    found[FAST.still_hours] = look(0)
    assert find_alert(found, TARGET, DAYS) is None


def test_a_few_failures_among_few_requests_prove_nothing():
    found = looks()
    found[FAST.hours] = found[FAST.still_hours] = Look(Tally(2, 3))
    assert measure_burn(found[FAST.hours], TARGET) > 30
    assert find_alert(found, TARGET, DAYS) is None
    assert not is_exhausted(Look(Tally(98, 100)), TARGET)
    assert is_exhausted(Look(Tally(980, 1000)), TARGET)


def test_the_first_failures_of_a_new_service_use_up_no_budget():
    born_an_hour_ago = look(0.5, events=240, covered=1 / (DAYS * 24))
    assert not is_exhausted(born_an_hour_ago, TARGET)
    assert 0.9 < measure_left(born_an_hour_ago, TARGET) < 1


@pytest.mark.parametrize("target", [0.5, 0.85, 0.999])
def test_an_alert_can_be_reached_whatever_is_promised(target):
    assert find_alert(looks(fast=1.0), target, DAYS) == FAST


def test_nothing_measured_burns_nothing():
    empty = {length: Look(Tally(0, 0), 0.0) for length in list_lengths(DAYS)}
    assert find_alert(empty, TARGET, DAYS) is None
    assert not is_exhausted(empty[DAYS * 24], TARGET)
    assert measure_left(empty[DAYS * 24], TARGET) == 1
