import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from include.contracts import DriftReport
from include.ledger import Ledger
from include.ledger.episodes import close_episodes
from include.monitoring.episodes import find_drift, record_drift, request_retraining
from include.settings import REPOSITORY

DAY = datetime(2026, 3, 1, tzinfo=UTC)
CLAIMANTS = 20


@pytest.fixture
def drift() -> DriftReport:
    window = {"project": "digits", "start": DAY, "end": DAY, "release": None, "predictions": 90}
    return DriftReport.model_validate(window | {"verdict": "drift", "summary": "drift: sharpness differs"})


@pytest.mark.parametrize("verdict", ["stable", "insufficient"])
def test_only_drift_opens_an_episode(ledger: Ledger, drift: DriftReport, verdict: str):
    assert record_drift(drift.model_copy(update={"verdict": verdict}), ledger) is None
    assert find_drift("digits", ledger) is None
    assert request_retraining("digits", ledger, "run") is None


def test_a_drift_is_found_until_it_is_answered(ledger: Ledger, drift: DriftReport):
    episode = record_drift(drift, ledger)
    assert record_drift(drift, ledger) == episode
    assert find_drift("digits", ledger) == (episode, drift)
    request = request_retraining("digits", ledger, "run")
    assert request is not None
    assert (request.episode, request.reason, request.drift) == (episode, drift.summary, drift)
    assert find_drift("digits", ledger) is None


def test_the_same_run_gets_its_request_again_and_no_other_does(ledger: Ledger, drift: DriftReport):
    record_drift(drift, ledger)
    request = request_retraining("digits", ledger, "run 1")
    assert request_retraining("digits", ledger, "run 1") == request
    assert request_retraining("digits", ledger, "run 2") is None
    record_drift(drift, ledger)
    assert request_retraining("digits", ledger, "run 2") is None


def test_once_a_new_model_serves_the_next_drift_is_asked_for_anew(ledger: Ledger, drift: DriftReport):
    record_drift(drift, ledger)
    first = request_retraining("digits", ledger, "run 1")
    close_episodes(ledger, "digits")
    assert request_retraining("digits", ledger, "run 1") is None
    record_drift(drift, ledger)
    second = request_retraining("digits", ledger, "run 2")
    assert first is not None
    assert second is not None
    assert second.episode != first.episode


def test_of_many_claimants_at_once_exactly_one_gets_it(ledger: Ledger, drift: DriftReport):
    record_drift(drift, ledger)
    with ThreadPoolExecutor(CLAIMANTS) as pool:
        claims = pool.map(lambda run: request_retraining("digits", ledger, f"run {run}"), range(CLAIMANTS))
        assert sum(claim is not None for claim in claims) == 1


def test_a_trigger_may_import_it_cheaply():
    code = "import sys, include.monitoring.episodes; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy = {"evidently", "pandas", "numpy", "pyarrow", "scipy", "torch", "mlflow", "onnxruntime"}
    assert heavy.isdisjoint(loaded.stdout.split())
