from unittest.mock import patch

from benchmarks.burn_alerts import SERVICES, Service, count_alerts, show_outages, time_alert
from include.monitoring import burn

RARE = Service(0.99, 0.1)


def test_few_events_cry_wolf_only_without_their_interval():
    assert count_alerts(RARE, seed=1, days=7) == 0
    with patch.object(burn, "QUANTILE", 0.0):
        assert count_alerts(RARE, seed=1, days=7) > 0


def test_a_total_outage_wakes_somebody_soon():
    table, reached = show_outages(streams=1)
    assert reached
    assert table.row_count == sum(service.per_minute >= 1 for service in SERVICES)


def test_a_few_more_errors_wake_nobody():
    assert time_alert(Service(0.99, 100), share=0.05, seed=1, most=120) == 120
