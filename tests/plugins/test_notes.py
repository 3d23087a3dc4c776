from types import SimpleNamespace

import pytest

from tests.plugins.samples import DATASET
from windhover.notes import LONGEST, explain_training, on_dag_run_running

REQUEST = {"project": "digits", "reason": "drift, episode 7: camera: blurred lens", "mode": "replay"}


@pytest.mark.parametrize(
    ("run_type", "person", "extras", "note"),
    [
        ("asset_triggered", None, [REQUEST], "drift, episode 7: camera: blurred lens (mode: replay)"),
        (
            "asset_triggered",
            None,
            [DATASET.model_dump(), REQUEST],
            "drift, episode 7: camera: blurred lens (mode: replay)",
        ),
        ("asset_triggered", None, [DATASET.model_dump()], "new data: dataset version 1"),
        ("asset_triggered", None, [{"from_rest_api": True}], "new data: dataset version announced by hand"),
        ("manual", "ada", [], "demand: started by ada"),
        ("manual", None, [], "demand: started by somebody"),
    ],
)
def test_a_training_says_why(run_type, person, extras, note):
    assert explain_training(run_type, person, extras) == note


def start(dag_id="digits.train_model", note=None, extras=(REQUEST,)):
    """Start a run as the scheduler does, with a record that has what ours reads."""
    events = [SimpleNamespace(extra=extra) for extra in extras]
    run = SimpleNamespace(
        dag_id=dag_id, note=note, run_type="asset_triggered", triggering_user_name=None, consumed_asset_events=events
    )
    on_dag_run_running(run, "started")
    return run.note


def test_the_note_of_the_run_says_why_once():
    assert start() == "drift, episode 7: camera: blurred lens (mode: replay)"
    assert start(note="mine") == "mine"
    assert start(dag_id="digits.monitor_model") is None
    assert start(extras=(None,)) == "new data: dataset version announced by hand"
    assert len(start(extras=(REQUEST | {"reason": "x" * 2000},))) == LONGEST
