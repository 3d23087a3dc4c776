from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from include.deployment.freeze import Freeze, find_freeze, require_open
from include.errors import RolloutFailedError
from include.ledger.freezes import FreezeRecord
from include.project import DeploymentPolicy, FreezeWindow

SATURDAY = datetime(2026, 11, 21, tzinfo=UTC)
WEEKEND = FreezeWindow(days=("sat", "sun"), start=time(0), end=time(0), reason="nobody is there")
NIGHT = FreezeWindow(start=time(22), end=time(6), reason="nights are quiet")
LUNCH = FreezeWindow(days=("mon",), start=time(12), end=time(13), reason="lunch")


def at(days: int = 0, hours: float = 0) -> datetime:
    return SATURDAY + timedelta(days=days, hours=hours)


@pytest.mark.parametrize(
    ("window", "moment", "until"),
    [
        pytest.param(LUNCH, at(2, 11.99), None, id="before"),
        pytest.param(LUNCH, at(2, 12), at(2, 13), id="from-its-start"),
        pytest.param(LUNCH, at(2, 13), None, id="not-at-its-end"),
        pytest.param(LUNCH, at(3, 12), None, id="another-day"),
        pytest.param(NIGHT, at(0, 23), at(1, 6), id="over-midnight-before"),
        pytest.param(NIGHT, at(1, 5.9), at(1, 6), id="over-midnight-after"),
        pytest.param(NIGHT, at(1, 6), None, id="morning"),
        pytest.param(WEEKEND, at(0, 0), at(1, 0), id="whole-day"),
        pytest.param(WEEKEND, at(1, 23.9), at(2, 0), id="whole-second-day"),
        pytest.param(WEEKEND, at(2, 0), None, id="monday"),
        pytest.param(WEEKEND, at(-1, 23.9), None, id="friday-evening"),
    ],
)
def test_a_window_is_open_from_its_start_to_its_end(window, moment, until):
    assert find_freeze([window], moment) == (until and Freeze(window.reason, until))


def test_a_night_that_begins_on_friday_reaches_into_saturday_but_saturdays_does_not_begin():
    friday = FreezeWindow(days=("fri",), start=time(22), end=time(6), reason="weekend")
    assert find_freeze([friday], at(0, 5)) == Freeze("weekend", at(0, 6))
    assert find_freeze([friday], at(0, 23)) is None


def test_of_several_the_one_that_ends_last_counts_and_hours_are_utc():
    tokyo = timezone(timedelta(hours=9))
    moment = at(0, 23).astimezone(tokyo)
    assert find_freeze([WEEKEND, NIGHT], moment) == Freeze(NIGHT.reason, at(1, 6))
    assert find_freeze([], moment) is None


def test_a_refusal_says_why_and_until_when():
    with pytest.raises(RolloutFailedError, match=r"before 2026-11-22 00:00 UTC: nobody is there"):
        require_open(DeploymentPolicy(freeze=(WEEKEND,)), at(0, 12))
    require_open(DeploymentPolicy(freeze=(WEEKEND,)), at(2, 12))


def test_a_freeze_that_stands_lets_no_rollout_begin():
    standing = [FreezeRecord("slo/availability", "the error budget is used up", at(2, 11))]
    with pytest.raises(RolloutFailedError, match=r"budget is used up .*slo/availability"):
        require_open(DeploymentPolicy(), at(2, 12), standing)
