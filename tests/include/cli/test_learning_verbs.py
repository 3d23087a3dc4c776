import json

import numpy as np
import pytest

from include.contracts import ReleaseRef
from include.serving.model import load_model
from tests.include.foreign_models import deliver_model, export_onnx, make_network


@pytest.fixture
def online(machine, monkeypatch, mlflow_uri):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    return machine


def test_nothing_to_try_is_bad_input(machine, invoke):
    done = invoke("tune")
    assert done.exit_code == 2
    assert "there is nothing to try" in done.stderr


def test_a_version_that_was_never_registered_is_bad_input(online, invoke):
    done = invoke("reproduce", "--model", 3)
    assert done.exit_code == 2
    assert "has no version 3" in done.stderr


def test_an_impossible_search_is_named_where_it_stands(machine, invoke):
    machine.write_project(tuning={"method": "tpe", "search": {"learning_rat": {"low": 0.1, "high": 0.2}}})
    done = invoke("lint")
    assert done.exit_code == 2
    assert "tuning" in done.stderr
    assert "learning_rat" in done.stderr


def test_a_model_from_elsewhere_goes_through_every_gate_into_service(online, invoke, settings, tmp_path):
    online.deliver("2026-03-01", images=300)
    assert invoke("ingest", "--day", "2026-03-01").exit_code == 0
    file = deliver_model(tmp_path / "theirs", "net.onnx", export_onnx(make_network()))
    reports = {}
    for verb, words in {"import": [file], "decide": [], "register": [], "package": []}.items():
        done = invoke(verb, *words, "--json")
        assert done.exit_code == 0, done.stderr
        reports[verb] = json.loads(done.stdout)
    assert reports["import"]["imported"] is True
    assert reports["register"]["model"] == reports["import"]
    assert reports["decide"]["candidate"]["measures"].keys() >= {"robustness", "invariance_shift", "log_loss"}
    served = load_model(settings.open_store(), ReleaseRef.model_validate(reports["package"]))
    (output,) = served.run(np.full((1, 32, 32, 3), 90, np.uint8))
    assert output.probabilities.sum() == pytest.approx(1, abs=1e-5)
    done = invoke("reproduce", "--model", 1)
    assert done.exit_code == 2
    assert "was imported; only those who trained it" in done.stderr


def test_a_pickle_is_refused_with_what_to_do(machine, invoke, tmp_path):
    done = invoke("import", deliver_model(tmp_path, "net.onnx", b"PK\x03\x04"))
    assert done.exit_code == 2
    assert "net.onnx is a zip archive, as torch.save writes it around a pickle" in done.stderr
