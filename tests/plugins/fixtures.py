"""Parts around a task: a machine, an API server, stand-ins for stages."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from include.ledger import Ledger
from tests.airflow_home import ROOT
from tests.plugins.stages import Stages
from tests.plugins.task_runs import ApiServer


@pytest.fixture(scope="session")
def load_dag() -> Callable[[str], DAG]:
    """Give a function that parses one DAG file and returns the DAG of the project `digits`."""

    @cache
    def load(stem: str) -> DAG:
        bag = DagBag(ROOT / "dags" / f"{stem}.py")
        assert bag.import_errors == {}
        return bag.dags[f"digits.{stem}"]

    return load


@pytest.fixture
def api_server() -> ApiServer:
    """What tasks ask for and report."""
    return ApiServer()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home folder of a machine with a ledger that nobody may open."""
    home = tmp_path / "home"
    monkeypatch.setenv("WINDHOVER_HOME", str(home))
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", "http://mlflow:5500")
    monkeypatch.setenv("WINDHOVER_SERVING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("WINDHOVER_SERVING_PUBLIC", "http://serving.example")
    monkeypatch.setenv("AIRFLOW_CONN_WINDHOVER_LEDGER", "postgres://windhover:secret@127.0.0.1:1/windhover")
    return home


@pytest.fixture
def ledger_connection(machine: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The empty ledger, as the machine's Airflow connection."""
    monkeypatch.setenv("AIRFLOW_CONN_WINDHOVER_LEDGER", ledger.url.render_as_string(hide_password=False))
    return ledger


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    """Stand-ins for stage functions."""
    return Stages(monkeypatch)


class PlayedTracking:
    """Knows addresses of runs, and asks nobody."""

    def __init__(self, uri: str, page: str) -> None:
        self.uri = uri
        self.page = page

    def run_url(self, run_id: str) -> str:
        """Page of a run."""
        return f"{self.page}/#/runs/{run_id}"


@pytest.fixture
def tracking(stages: Stages) -> type[PlayedTracking]:
    """MLflow that is not there."""
    stages.provide("include.tracking", "Tracking", PlayedTracking)
    return PlayedTracking
