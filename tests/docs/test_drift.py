"""The DAG on the page about drift is one that Airflow takes, and hears of an episode however soon that is answered."""

import re
from datetime import UTC, datetime

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.serde import deserialize

from include.ledger.episodes import answer_episode, open_episode
from include.settings import REPOSITORY
from tests.plugins.fixtures import api_server, ledger_connection, machine
from tests.plugins.samples import DRIFT
from tests.plugins.task_runs import make_run, run_task
from tests.plugins.triggers.firing import fire
from windhover.triggers.monitoring import DriftTrigger

__all__ = ["api_server", "ledger_connection", "machine"]

PAGE = (REPOSITORY / "docs" / "drift.md").read_text()


@pytest.fixture
def example(tmp_path):
    (code,) = re.findall(r"^```python\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "order_labels.py").write_text(code)
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    return dag


def test_the_example_hears_of_an_episode_that_is_answered(example, ledger_connection, api_server):
    run = make_run(example.dag_id, "scheduled", run_after=datetime.now(UTC))
    waiting = run_task(api_server, example, "wait_for_drift", run)
    assert (waiting.state, waiting.message.trigger_timeout.total_seconds()) == ("deferred", 65 * 60)
    answer_episode(ledger_connection, open_episode(ledger_connection, DRIFT), "digits.monitor_model")
    event = fire(DriftTrigger(**deserialize(waiting.message.trigger_kwargs)))
    told = {"next_method": "report", "next_kwargs": {"event": event}}
    assert run_task(api_server, example, "wait_for_drift", **told).state == "success"
    assert run_task(api_server, example, "order_labels").state == "success"
