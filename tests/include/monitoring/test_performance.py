from datetime import timedelta

import pytest
from statsmodels.stats.proportion import proportion_confint

from include.contracts import PerformanceReport
from include.errors import ArtifactNotFoundError
from include.monitoring.performance import measure_performance
from include.monitoring.profile import profile_predictions
from include.predictions import append_rows
from include.project import Project
from include.storage import Store
from tests.include.monitoring.conftest import END, RELEASE, START

LATER = timedelta(hours=20)


def send_labels(store: Store, project: Project, labels: list[str], first: int = 0, delay: timedelta = LATER) -> None:
    rows = [
        {"request_id": f"{RELEASE[7:10]}-1200-{index}", "time": START + delay, "project": project.name, "label": label}
        for index, label in enumerate(labels, first)
    ]
    append_rows(store, "feedback", f"{first}-{delay.seconds}", rows)


def measure(store: Store, project: Project) -> PerformanceReport:
    return measure_performance(project, profile_predictions(project, START, END, store), store)


def test_accuracy_and_its_interval(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:50])
    truth = [str(row["predicted"]) for row in digit_rows[:40]]
    send_labels(store, project, ["wrong"] * 4 + truth[4:])
    report = measure(store, project)
    low, high = proportion_confint(36, 40, method="wilson")
    assert (report.predictions, report.labelled, report.accuracy) == (50, 40, 0.9)
    assert (report.low, report.high) == pytest.approx((low, high))


def test_without_labels_there_is_no_accuracy(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:10])
    report = measure(store, project)
    assert (report.predictions, report.labelled) == (10, 0)
    assert report.accuracy is report.low is report.high is None


def test_without_predictions_there_is_nothing(store: Store, project: Project):
    assert measure(store, project).predictions == 0


def test_a_corrected_label_counts_once(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:1])
    send_labels(store, project, ["wrong"])
    send_labels(store, project, [str(digit_rows[0]["predicted"])], delay=LATER + timedelta(minutes=5))
    report = measure(store, project)
    assert (report.labelled, report.accuracy, report.high) == (1, 1.0, 1.0)


def test_labels_of_other_requests_are_left_out(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:10])
    send_labels(store, project, ["1"] * 5, first=100)
    assert measure(store, project).labelled == 0


def test_a_profile_that_is_gone_is_an_error(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:10])
    profile = profile_predictions(project, START, END, store)
    store.remove(profile.address)
    with pytest.raises(ArtifactNotFoundError, match="profiles"):
        measure_performance(project, profile, store)
