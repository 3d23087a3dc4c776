"""A project in the middle of its story: it drifted, was diagnosed, and a new version is on trial."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from include.contracts import (
    ActionDecision,
    DatasetRef,
    DiagnosisReport,
    DriftReport,
    FeatureDriftReport,
    HostReport,
    MetricReport,
    ObjectiveReport,
    PerformanceReport,
    ProfileReport,
    ReleaseRef,
    ReplicaReport,
    RolloutReport,
)
from include.ledger import Ledger
from include.ledger.episodes import open_episode, record_action, record_diagnosis
from include.ledger.incidents import acknowledge_incident, open_incident, resolve_incident
from include.ledger.objectives import record_objective
from include.ledger.plans import find_plan, record_replica
from include.ledger.quality import record_validation
from include.ledger.releases import record_release
from include.ledger.rollouts import advance_rollout, complete_rollout, record_report, start_rollout
from include.ledger.tables import dataset_versions, host_samples
from include.monitoring.series import record_drift, record_performance, record_profile
from include.project import DeploymentPolicy
from include.storage import Store
from tests.include.certified import certify, crown
from tests.plugins.samples import DATASET, RELEASE, digest
from tests.plugins.ui.reports import make_report

LIMIT = 2191.0
HOURS = 8
WORN = range(4, 6)
POLICY = DeploymentPolicy(strategy="canary", step_requests=200).model_dump(mode="json")


def play_story(store: Store, ledger: Ledger) -> None:
    """Let a project live through half a day."""
    now = datetime.now(UTC)
    _publish(ledger)
    _release(store, ledger)
    for hour in range(HOURS):
        _measure(store, now - timedelta(hours=HOURS - hour), hour)
    _drift(ledger, now)
    raise_troubles(ledger)
    _promise(ledger, now)
    samples = [_sample(now - timedelta(minutes=180 - minute), minute).model_dump() for minute in range(180)]
    with ledger.begin() as connection:
        connection.execute(sa.insert(host_samples), samples)


def _publish(ledger: Ledger) -> None:
    rows = [
        {
            "project": "digits", "version": number, "digest": digest(str(number)),
            "dataset": DatasetRef.model_validate(
                DATASET.model_dump() | {"version": number, "digest": digest(str(number)), "images": 800 * number}
            ).model_dump(mode="json"),
        }
        for number in (1, 2, 3)
    ]  # fmt: skip
    with ledger.begin() as connection:
        connection.execute(sa.insert(dataset_versions), rows)
    for day in range(6):
        counts = {"seen": 120, "accepted": 112 - 2 * (day % 3), "duplicates": 4, "quarantined": 4 + 2 * (day % 3)}
        record_validation(
            ledger, make_report(f"2026-11-{11 + day}", **counts, reasons={"truncated": 4}), passed=day != 4
        )


def _release(store: Store, ledger: Ledger) -> None:
    for number in (1, 2, 3):
        certify(number, store, ledger)
    crown(1, ledger)
    crown(2, ledger, before=1)
    store.write("digits/reports/model_card/2/index.html", b"")
    for number in (1, 2):
        complete_rollout(ledger, _start(ledger, number))
    trial = _start(ledger, 3)
    advance_rollout(
        ledger, trial, 0, lambda plan: plan.model_copy(update={"weight": 0.25}), "25 % of requests to version 3"
    )
    metrics = (
        MetricReport(metric="errors", verdict="safe", evidence=1.2, limit=1000.0, seen="0 of 212 failed"),
        MetricReport(metric="latency", verdict="undecided", evidence=31.6, limit=1000.0, seen="60 of 212 slower"),
    )
    record_report(ledger, RolloutReport(
        rollout=trial, verdict="continue", step=1, weight=0.25, requests=212, metrics=metrics,
        reasons=("no harm so far; 88 more requests for the next step",),
    ))  # fmt: skip
    plan = find_plan(ledger, "digits")
    assert plan
    for name in ("serving-1", "serving-2"):
        record_replica(ledger, ReplicaReport(
            name=name, address=f"unix:{name}", started_at=datetime.now(UTC), source="ledger",
            revisions={"digits": plan.revision}, held={"digits": ()}, rejected={},
        ))  # fmt: skip


def _start(ledger: Ledger, number: int):
    model = RELEASE.model.model_copy(update={"version": number})
    release = ReleaseRef.model_validate(
        RELEASE.model_dump()
        | {"model": model.model_dump(), "digest": digest(str(number)), "address": f"digits/{number}"}
    )
    record_release(ledger, release)
    return start_rollout(ledger, release, f"run {number}", "canary", POLICY)


def _window(at: datetime) -> dict:
    return {"project": "digits", "start": at, "end": at + timedelta(hours=1)}


def _measure(store: Store, at: datetime, hour: int) -> None:
    worn, seen = hour in WORN, 280 + 40 * (hour % 4)
    window = _window(at) | {"predictions": seen}
    record_profile(store, ProfileReport(
        **window, release=digest("2"), address="digits/profiles/p.parquet", per_minute=seen / 60,
        latency_ms={"p50": 8.0, "p95": 21.0 + hour % 3, "p99": 40.0},
        changes=("sharpness fell from 41 to 18",) if worn else (),
    ))  # fmt: skip
    record_drift(store, _find_drift(window, worn=worn, hour=hour))
    right = 0.78 if worn else 0.97
    record_performance(store, PerformanceReport(
        **window, labelled=120, accuracy=right, low=right - 0.06, high=min(1.0, right + 0.04), certified=0.95,
        estimate=right - 0.02, estimate_low=right - 0.05, estimate_high=min(1.0, right + 0.02),
        verdict="degraded" if worn else "stable",
    ))  # fmt: skip


def _find_drift(window: dict, *, worn: bool, hour: int) -> DriftReport:
    feature = FeatureDriftReport(
        feature="sharpness", method="betting", p_value=1e-9 if worn else 0.4, threshold=0.01, drifted=worn
    )
    return DriftReport(
        **window, release=digest("2"), verdict="drift" if worn else "stable", features=(feature,), limit=LIMIT,
        evidence=LIMIT * 40 if worn else 1.5 + hour % 5,
        summary="drift: sharpness <b>differs</b>" if worn else "stable: no feature differs",
        report="digits/reports/drift/1/index.html" if worn else None,
    )  # fmt: skip


def _drift(ledger: Ledger, now: datetime) -> None:
    for hour in WORN:
        episode = open_episode(
            ledger,
            _find_drift(_window(now - timedelta(hours=HOURS - hour)) | {"predictions": 300}, worn=True, hour=hour),
        )
    scores = {"camera_fault": 0.86, "lighting": 0.09, "unknown": 0.05}
    record_diagnosis(ledger, DiagnosisReport(
        project="digits", episode=episode, cause="camera_fault", name="camera: blurred lens", scores=scores,
        evidence=("sharpness fell by 56 %, brightness stayed", "every class is struck alike"),
    ))  # fmt: skip
    record_action(ledger, ActionDecision(
        project="digits", episode=episode, cause="camera_fault", action="retrain", predicted_gain=0.17,
        reasons=("the project file says so: this camera cannot be cleaned",),
    ))  # fmt: skip


def raise_troubles(ledger: Ledger) -> None:
    """Leave one incident open, one taken on, and one resolved."""
    shared = {"runbook": "docs/runbook.md#drift-episodes", "who": "watcher"}
    open_incident(
        ledger, "digits", kind="drift", key="episode 1", title="camera: blurred lens <i>east</i>", impact="medium",
        urgency="high", owner="ada", **shared,
    )  # fmt: skip
    late = open_incident(
        ledger, "digits", kind="late_run", key="late", title="monitor_model is 20 minutes late", impact="low",
        urgency="low", **shared,
    )  # fmt: skip
    acknowledge_incident(ledger, late, who="bea")
    gone = open_incident(
        ledger, "digits", kind="dead_service", key="serving-2", title="serving-2 does not report", impact="high",
        urgency="high", **shared,
    )  # fmt: skip
    resolve_incident(ledger, gone, who="bea", why="the supervisor started it again", lesson="alarm after one minute")


def _promise(ledger: Ledger, now: datetime) -> None:
    for objective, left, verdict in (
        ("availability", 0.93, "met"),
        ("latency", 0.31, "burning"),
        ("accuracy", -0.2, "exhausted"),
    ):
        record_objective(ledger, ObjectiveReport(
            project="digits", objective=objective, at=now, target=0.99, days=28, good=9900, events=10_000, left=left,
            burn={"1h": 2.1, "6h": 0.8}, verdict=verdict, summary=f"{objective}: 9 900 of 10 000 good",
        ))  # fmt: skip


def _sample(at: datetime, minute: int) -> HostReport:
    return HostReport(
        at=at, cpu=0.35 + 0.3 * (minute % 17) / 17, memory=0.55 + 0.02 * (minute % 5) / 5, disk=0.6 + 0.001 * minute,
        sent=40_000.0 + 9000 * (minute % 11), received=120_000.0 + 20_000 * (minute % 7),
    )  # fmt: skip
