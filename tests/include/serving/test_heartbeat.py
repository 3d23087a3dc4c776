import pytest
import sqlalchemy as sa

from include.ledger import Ledger
from include.ledger.plans import list_replicas
from include.ledger.tables import replicas
from include.serving import heartbeat as heartbeat_module
from include.serving.heartbeat import Heartbeat
from include.serving.plan import ServingPlan


@pytest.fixture
def plan(ledger, store, tmp_path, make_release, follow):
    follow(make_release())
    plan = ServingPlan(ledger, store, tmp_path / "replica")
    plan.reconcile()
    yield plan
    plan._holder.close()


def test_a_process_is_alive_from_its_first_report_to_its_orderly_end(ledger, plan, wait_until):
    heartbeat = Heartbeat(ledger, plan, "serving-1", "unix:/run/serving-1")
    heartbeat.start()
    (report,) = wait_until(lambda: list_replicas(ledger), "a report")
    assert (report.name, report.address, report.revisions) == ("serving-1", "unix:/run/serving-1", {"digits": 1})
    assert report == plan.report(report.name, report.address, report.started_at)
    heartbeat.stop()
    assert list_replicas(ledger) == []


def test_it_reports_again_and_again(ledger, plan, wait_until, monkeypatch):
    monkeypatch.setattr(heartbeat_module, "REPORT_SECONDS", 0.05)

    def last_seen():
        with ledger.begin() as connection:
            return connection.scalar(sa.select(replicas.c.seen_at))

    heartbeat = Heartbeat(ledger, plan, "serving-1", "")
    heartbeat.start()
    first = wait_until(last_seen, "a report")
    wait_until(lambda: last_seen() > first, "another report")
    heartbeat.stop()


def test_a_ledger_that_is_away_ends_nothing_and_hears_of_it_once_it_is_back(
    ledger, ledger_switch, plan, wait_until, monkeypatch
):
    monkeypatch.setattr(heartbeat_module, "REPORT_SECONDS", 0.05)
    uri, away = ledger_switch
    heartbeat = Heartbeat(Ledger(uri), plan, "serving-1", "")
    with away():
        heartbeat.start()
        assert list_replicas(ledger) == []
    wait_until(lambda: list_replicas(ledger), "a report")
    with away():
        heartbeat.stop()
    assert [report.name for report in list_replicas(ledger)] == ["serving-1"]
