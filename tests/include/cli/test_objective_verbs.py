import json

import pytest
from typer.testing import CliRunner

from include.cli.verbs import app
from include.contracts import ObjectiveReport
from include.ledger.freezes import freeze_rollouts
from include.ledger.objectives import record_objective


@pytest.fixture
def call(machine, ledger):
    """Call a verb about objectives."""
    return lambda verb, *words: CliRunner().invoke(app, [verb, "--project", machine.project, *words, "--json"])


def test_budgets_and_freezes_are_shown_and_a_freeze_can_be_lifted(call, machine, ledger):
    assert json.loads(call("objectives").stdout) == {"objectives": [], "freezes": []}
    told = {"objective": "latency", "at": "2026-03-02T12:00:00Z", "target": 0.9, "days": 28, "good": 8, "events": 10}
    report = ObjectiveReport(project=machine.project, left=-1, verdict="exhausted", summary="slow", **told)
    record_objective(ledger, report)
    freeze_rollouts(ledger, machine.project, cause="slo/latency", reason="used up", who="watcher")
    found = json.loads(call("objectives").stdout)
    assert [one["verdict"] for one in found["objectives"]] == ["exhausted"]
    assert [one["cause"] for one in found["freezes"]] == ["slo/latency"]
    lift = ("thaw", "--cause", "slo/latency", "--by", "anna", "--reason", "the fix has to go out")
    assert json.loads(call(*lift).stdout) == {"lifted": "slo/latency", "still_standing": []}
    again = call(*lift)
    assert again.exit_code != 0
    assert "nothing was lifted" in again.stderr
