from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import DatasetRef, PerformanceReport
from include.ledger import Ledger
from include.ledger.objectives import Tally, record_counts
from include.monitoring.objectives import count_freshness, measure_objective
from include.project import ObjectivesPolicy, Project

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
DATASET = DatasetRef(project="digits", address="digits/images.lance", version=1, digest=DIGEST, images=9, labelled=9)


@pytest.fixture
def promised(project: Project) -> Project:
    objectives = ObjectivesPolicy(accuracy=0.8, freshness=0.9)
    return project.model_copy(update={"monitoring": project.monitoring.model_copy(update={"objectives": objectives})})


def spread(days: float, good: int, events: int, every_minutes: int = 60) -> dict[datetime, Tally]:
    minutes = range(0, int(days * 24 * 60), every_minutes)
    return {NOW - timedelta(minutes=minute): Tally(good, events) for minute in minutes}


def window(hours_ago: float, accuracy: float | None, labelled: int = 100, hours: float = 1) -> PerformanceReport:
    start = NOW - timedelta(hours=hours_ago)
    counts = {"predictions": labelled, "labelled": labelled if accuracy is not None else 0, "accuracy": accuracy}
    return PerformanceReport(project="digits", start=start, end=start + timedelta(hours=hours), **counts)


def test_nothing_measured_is_not_met(ledger: Ledger, promised: Project):
    report, urgent = measure_objective(promised, "availability", ledger, [], NOW)
    assert (report.verdict, report.events, report.left, urgent) == ("not_measured", 0, 1.0, False)


def test_a_kept_promise_leaves_budget(ledger: Ledger, promised: Project):
    record_counts(ledger, "digits", "availability", "log", spread(28, 995, 1000))
    report, urgent = measure_objective(promised, "availability", ledger, [], NOW)
    assert (report.verdict, urgent) == ("met", False)
    assert report.left == pytest.approx(0.5, abs=0.01)
    assert report.burn == pytest.approx({"1h": 0.5, "6h": 0.5, "72h": 0.5})


def test_an_outage_burns_at_once(ledger: Ledger, promised: Project):
    record_counts(ledger, "digits", "availability", "log", spread(20, 1000, 1000))
    record_counts(ledger, "digits", "availability", "probe", {NOW: Tally(0, 1000)})
    report, urgent = measure_objective(promised, "availability", ledger, [], NOW)
    assert (report.verdict, urgent) == ("burning", True)
    assert "burnt within 1 h" in report.summary


def test_a_month_of_loss_exhausts_the_budget(ledger: Ledger, promised: Project):
    record_counts(ledger, "digits", "latency", "log", spread(28, 90, 100))
    report, urgent = measure_objective(promised, "latency", ledger, [], NOW)
    assert (report.verdict, urgent) == ("exhausted", True)
    assert report.left == pytest.approx(-1, abs=0.02)
    assert "overdrawn by 100%" in report.summary


def test_accuracy_counts_labels_and_no_label_twice(ledger: Ledger, promised: Project):
    labelled = [window(hours, 0.9) for hours in range(28 * 24, 0, -1)]
    by_hand = [window(3.5, 0.0), window(2.25, 0.0, hours=0.5), window(2, None)]
    report, _ = measure_objective(promised, "accuracy", ledger, labelled + by_hand, NOW)
    assert (report.good, report.events) == (90 * 28 * 24, 100 * 28 * 24)
    assert report.left == pytest.approx(0.5, abs=0.01)


def test_wrong_answers_burn_although_labels_come_by_the_hour(ledger: Ledger, promised: Project):
    labelled = [window(hours, 0.95) for hours in range(28 * 24, 2, -1)] + [window(2, 0.0), window(1, 0.0)]
    report, urgent = measure_objective(promised, "accuracy", ledger, labelled, NOW)
    assert (report.verdict, urgent) == ("burning", True)


def test_data_is_fresh_while_its_newest_version_is_young(ledger: Ledger, promised: Project):
    count_freshness(promised, ledger, NOW)
    assert measure_objective(promised, "freshness", ledger, [], NOW)[0].verdict == "not_measured"
    with ledger.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO dataset_versions VALUES ('digits', 1, 'sha256:x', %s, %s)",
            (DATASET.model_dump_json(), NOW - timedelta(hours=30)),
        )
    count_freshness(promised, ledger, NOW)
    count_freshness(promised, ledger, NOW + timedelta(hours=7))
    report, _ = measure_objective(promised, "freshness", ledger, [], NOW + timedelta(hours=7))
    assert (report.good, report.events) == (1, 2)
