"""From a delivery to answers, twice, with every part real."""

import json

import httpx
import pytest

from examples.camera import CLEAN_LENS, LIVE_SPECIMENS, photograph
from include.contracts import DriftReport
from include.ledger.episodes import find_unclosed_episode, open_episode
from include.ledger.plans import find_plan
from include.tracking import Tracking

DAYS = ("2026-11-02", "2026-11-03")


@pytest.fixture
def serving(machine, monkeypatch, mlflow_uri, serve):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    serving = serve()
    monkeypatch.setenv("WINDHOVER_SERVING_URI", serving.uri)
    return serving


def test_a_lifecycle_ends_with_answers_and_run_again_changes_nothing(machine, serving, execute, ledger, mlflow_uri):
    machine.write_project(tuning={"method": "random", "trials": 1, "search": {"learning_rate": {"choices": [0.002]}}})
    for position, day in enumerate(DAYS):
        machine.deliver(day, first=150 * position, images=150)
    words = ["--json", *(word for day in DAYS for word in ("--day", day))]
    drift = {"project": machine.project, "start": "2026-11-02T00:00:00Z", "end": "2026-11-02T01:00:00Z"}
    open_episode(ledger, DriftReport(**drift, release=None, verdict="drift", predictions=90, summary="sharpness"))

    first, second = execute("lifecycle", *words), execute("lifecycle", *words)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    before, after = json.loads(first.stdout), json.loads(second.stdout)
    assert (before.pop("promoted"), after.pop("promoted")) == (True, False)
    assert list(before.pop("seconds")) == ["ingest", "tune", "train", "decide", "register", "package", "deploy"]
    assert list(after.pop("seconds")) == ["ingest", "tune", "train", "package", "deploy"]
    assert before == after
    assert find_unclosed_episode(ledger, machine.project) is None
    assert serving.state(machine.project)["live"] == find_plan(ledger, machine.project).champion.digest

    with Tracking(mlflow_uri).connect() as client:
        assert [v.version for v in client.search_model_versions(f"name = '{machine.project}'")] == ["1"]
        assert client.get_registered_model(machine.project).aliases == {"candidate": "1", "champion": "1"}
    answer = httpx.post(f"{serving.uri}/v1/predict", content=photograph(LIVE_SPECIMENS[0], CLEAN_LENS, 1)).json()
    assert (answer["release"], answer["model_version"]) == (after["release"], 1)
