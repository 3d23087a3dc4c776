from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import HostReport
from include.monitoring.host import HostSampler, forecast

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def samples(disks: list[float], minutes: float = 5) -> list[HostReport]:
    first = NOW - timedelta(minutes=minutes) * len(disks)
    return [
        HostReport(at=first + timedelta(minutes=minutes) * place, cpu=0, memory=0.5, disk=disk, sent=0, received=0)
        for place, disk in enumerate(disks)
    ]


def days_left(disks: list[float], minutes: float = 5) -> float | None:
    _, disk = forecast(samples(disks, minutes))
    return disk.days


def test_a_steady_growth_is_carried_on():
    # 1 % an hour, up to 60 %.
    grown = [0.36 + 0.01 * place / 12 for place in range(12 * 24)]
    assert days_left(grown) == pytest.approx(40 / 24, rel=0.02)
    _, disk = forecast(samples(grown))
    assert disk.summary == "disk 60% full, all of it in 1.7 days"


def test_growth_in_bursts_is_seen_and_a_single_burst_bends_nothing():
    stairs = [0.36 + 0.01 * (place // 12) for place in range(12 * 24)]
    assert days_left(stairs) == pytest.approx(40 / 24, rel=0.15)
    flat = [0.5] * 200
    assert days_left([*flat[:100], *[0.9] * 5, *flat]) is None


@pytest.mark.parametrize(
    "disks",
    [
        [],
        [0.5],
        [0.5] * 100,
        [0.9 - 0.001 * place for place in range(100)],
        [0.5 + 0.01 * (place % 2) for place in range(300)],
        [0.5 + 0.001 * place for place in range(20)],
    ],
    ids=["none", "one", "still", "shrinking", "breathing", "too few"],
)
def test_without_a_steady_growth_there_is_no_forecast(disks):
    assert [one.days for one in forecast(samples(disks)) if one.resource == "disk"] in ([], [None])


def test_nothing_is_foretold_much_farther_than_was_looked_back():
    slow = [0.1 + 0.0001 * place for place in range(60)]
    assert days_left(slow, minutes=2) is None


def test_this_machine_can_be_measured(tmp_path):
    sampler = HostSampler(tmp_path)
    first, second = sampler.measure(NOW), sampler.measure(NOW + timedelta(seconds=15))
    assert (first.sent, first.received) == (0, 0)
    assert 0 < second.memory <= 1
    assert 0 < second.disk <= 1
    assert second.sent >= 0
