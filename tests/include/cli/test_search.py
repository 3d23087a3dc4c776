import json

import pytest

SEARCH = {"method": "grid", "search": {"learning_rate": {"choices": [0.001, 0.01]}}, "folds": 2}


@pytest.fixture
def online(machine, monkeypatch, mlflow_uri):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    return machine


def test_settings_are_searched_and_cross_validated(online, invoke):
    online.write_project(tuning=SEARCH)
    online.deliver("2026-03-01", images=120)
    assert invoke("ingest", "--day", "2026-03-01").exit_code == 0
    done = invoke("tune", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["search"]["completed"] == 2
    assert report["search"]["settings"]["learning_rate"] in {0.001, 0.01}
    assert [fold["fold"] for fold in report["folds"]] == [0, 1]
    assert 0 <= report["folds_accuracy_mean"] <= 1
