from datetime import timedelta

import pytest
from statsmodels.stats.proportion import proportion_confint

from include.contracts import DriftReport, PerformanceReport, PromotionDecision
from include.contracts.governance import Certificate
from include.errors import ArtifactNotFoundError
from include.monitoring.performance import measure_performance
from include.monitoring.profile import profile_predictions
from include.monitoring.sequence import HOURS_PER_QUARTER
from include.monitoring.series import read_performance_series
from include.predictions import append_rows
from include.project import EvaluationConfig, Project
from include.storage import Store, digest_bytes
from include.storage.signing import Signer
from include.vision.releases import CERTIFICATE, release_address
from tests.include.monitoring.conftest import END, RELEASE, START
from tests.plugins.samples import EVALUATION

LATER = timedelta(hours=20)


def send_labels(
    store: Store, project: Project, labels: list[str], first: int = 0, delay: timedelta = LATER, hour: str = "1200"
) -> None:
    rows = [
        {
            "request_id": f"{RELEASE[7:10]}-{hour}-{index}",
            "time": START + delay,
            "project": project.name,
            "label": label,
        }
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


CERTIFIED = 0.95
REFERENCE_ROWS = 300


@pytest.fixture
def certified(store: Store, project: Project, tmp_path, digit_rows, write_reference) -> None:
    """The release has a certificate of 95 % of 1,000 images, and a reference that says what is true."""
    report = EVALUATION.model_copy(update={"accuracy": CERTIFIED, "images": 1000})
    digest = digest_bytes(b"model")
    certificate = Certificate(
        version=1, model=report.model, graph=digest, code=digest, lock=digest, configuration=digest, policy={},
        decision=PromotionDecision(verdict="promote", candidate=report, reasons=("enough",)), issued_at=START,
    )  # fmt: skip
    signed = Signer(tmp_path / "home", store).sign(certificate.model_dump(mode="json"))
    store.write(f"{release_address(project.name, RELEASE)}/{CERTIFICATE}", signed)
    write_reference([row | {"label": row["predicted"]} for row in digit_rows[:REFERENCE_ROWS]])


def spoil(labels: list[str], wrong: int) -> list[str]:
    """Make the first so many labels say that the answer was wrong."""
    return [str((int(label) + 1) % 10) for label in labels[:wrong]] + labels[wrong:]


def tell_truth(rows) -> list[str]:
    return [str(row["predicted"]) for row in rows]


def test_as_good_as_certified_is_stable(store, project, digit_rows, log_traffic, certified):
    log_traffic(digit_rows[:200])
    send_labels(store, project, spoil(tell_truth(digit_rows[:200]), 10))
    report = measure(store, project)
    assert (report.verdict, report.certified, report.accuracy, report.concept) == ("stable", CERTIFIED, 0.95, False)
    assert report.evidence < report.limit == HOURS_PER_QUARTER
    assert "95.0% of 200 labelled answers right, 95.0% certified" in report.summary


def test_labels_that_say_otherwise_are_a_decline(store, project, digit_rows, log_traffic, certified):
    log_traffic(digit_rows[:200])
    send_labels(store, project, spoil(tell_truth(digit_rows[:60]), 30))
    report = measure(store, project)
    assert (report.verdict, report.accuracy, report.concept) == ("degraded", 0.5, False)
    assert report.evidence >= report.limit


def test_labels_of_earlier_windows_tell_too_however_late(store, project, digit_rows, log_traffic, certified):
    earlier = START - timedelta(days=6, hours=1)
    log_traffic(digit_rows[:100], start=earlier)
    profile_predictions(project, earlier, earlier + timedelta(hours=1), store)
    log_traffic(digit_rows[:50])
    assert measure(store, project).verdict == "insufficient"
    send_labels(store, project, spoil(tell_truth(digit_rows[:100]), 60), hour="1100")
    report = measure(store, project)
    assert (report.labelled, report.accuracy) == (0, None)
    assert report.verdict == "degraded"


def test_a_window_is_measured_again_when_its_labels_have_come(store, project, digit_rows, log_traffic, certified):
    hour = timedelta(hours=1)
    log_traffic(digit_rows[:100], start=START - hour)
    first = profile_predictions(project, START - hour, START, store)
    assert measure_performance(project, first, store).accuracy is None
    log_traffic(digit_rows[:50])
    send_labels(store, project, spoil(tell_truth(digit_rows[:80]), 8), hour="1100")
    measure(store, project)
    old, new = read_performance_series(store, project.name, START - hour)
    assert (old.start, old.labelled, old.accuracy, new.labelled) == (START - hour, 80, 0.9, 0)
    send_labels(store, project, tell_truth(digit_rows[:8]), delay=2 * LATER, hour="1100")
    measure(store, project)
    assert [one.accuracy for one in read_performance_series(store, project.name, START - hour)] == [1.0, None]


def test_labels_of_another_release_say_nothing_of_this_one(store, project, digit_rows, log_traffic, certified):
    earlier, other = START - timedelta(days=1), digest_bytes(b"other")
    log_traffic(digit_rows[:100], start=earlier, release=other)
    profile_predictions(project, earlier, earlier + timedelta(hours=1), store)
    rows = [
        {"request_id": f"{other[7:10]}-1200-{index}", "time": START, "project": project.name, "label": "0"}
        for index in range(100)
    ]
    append_rows(store, "feedback", "other", rows)
    log_traffic(digit_rows[:50])
    report = measure(store, project)
    assert (report.verdict, report.evidence) == ("insufficient", 0)


def test_a_window_looked_at_twice_counts_once(store, project, digit_rows, log_traffic, certified):
    log_traffic(digit_rows[:100])
    send_labels(store, project, spoil(tell_truth(digit_rows[:40]), 4))
    once = measure(store, project)
    profile_predictions(project, START, START + timedelta(minutes=30), store)
    assert measure(store, project) == once


def test_only_labels_that_moved_alone_are_another_concept(store, project, digit_rows, log_traffic, certified):
    log_traffic(digit_rows[:200])
    send_labels(store, project, spoil(tell_truth(digit_rows[:80]), 60))
    profile = profile_predictions(project, START, END, store)
    assert measure_performance(project, profile, store, drift(profile, "stable")).concept
    assert "labels have changed" in measure_performance(project, profile, store, drift(profile, "stable")).summary
    assert not measure_performance(project, profile, store, drift(profile, "drift", "image")).concept
    assert not measure_performance(project, profile, store, drift(profile, "drift", "embedding")).concept
    assert measure_performance(project, profile, store, drift(profile, "drift", "prediction")).concept
    assert not measure_performance(project, profile, store, drift(profile, "insufficient")).concept


def drift(profile, verdict: str, layer: str | None = None) -> DriftReport:
    feature = {"feature": "f", "method": "m", "p_value": 0.0, "threshold": 0.1, "drifted": True, "layer": layer}
    return DriftReport.model_validate(
        {
            **profile.model_dump(include={"project", "start", "end", "release", "predictions"}),
            "verdict": verdict,
            "features": [feature] if layer else [],
            "summary": verdict,
        }
    )


def test_a_release_whose_certificate_does_not_verify_is_not_judged(store, project, digit_rows, log_traffic, certified):
    store.write(f"{release_address(project.name, RELEASE)}/{CERTIFICATE}", b"{}")
    log_traffic(digit_rows[:60])
    send_labels(store, project, spoil(tell_truth(digit_rows[:60]), 60))
    report = measure(store, project)
    assert (report.verdict, report.certified, report.limit, report.accuracy) == ("insufficient", None, 0, 0)


def test_until_labels_come_the_probabilities_tell(store, project, digit_rows, log_traffic, certified):
    log_traffic(digit_rows[300:400])
    report = measure(store, project)
    assert report.accuracy is None
    assert report.estimate_low <= 1.0 == report.estimate
    assert "estimated without labels" in report.summary


def test_images_unlike_all_others_lower_the_estimate(store, project, digit_rows, log_traffic, certified):
    log_traffic([row | {"ood": 4.0 if index < 50 else 0.1} for index, row in enumerate(digit_rows[300:400])])
    report = measure(store, project)
    assert report.estimate == pytest.approx(0.55)
    assert report.estimate_low < 0.5 < report.estimate_high


def test_an_answer_that_was_withheld_was_not_given(store, project, digit_rows, log_traffic, certified):
    log_traffic(
        [row | {"answered_by": "abstain" if index < 20 else "champion"} for index, row in enumerate(digit_rows[:50])]
    )
    send_labels(store, project, spoil(tell_truth(digit_rows[:50]), 20))
    report = measure(store, project)
    assert (report.labelled, report.accuracy) == (30, 1.0)


def test_a_slice_that_falls_behind_is_named(store, project, digit_rows, log_traffic, certified):
    rows = digit_rows * 3
    log_traffic(rows)
    send_labels(store, project, ["1" if label == "7" else label for label in tell_truth(rows)])
    sliced = project.model_copy(update={"evaluation": EvaluationConfig()})
    report = measure(store, sliced)
    assert [one.split(":")[0] for one in report.unfair] == ["by_class 1"]
    assert report.slices[0].value == "1"
    assert "unfair: by_class 1" in report.summary
