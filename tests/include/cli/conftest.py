"""A machine with a small project of its own, real PostgreSQL and MLflow, and real serving processes."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from examples.camera import ARRIVAL_SPECIMENS, CLEAN_LENS, deliver_day
from include.cli.verbs import app
from include.cli.workplace import Workplace
from include.ledger import Ledger
from include.settings import REPOSITORY, Settings, load_settings
from include.tracking import Tracking
from tests.include.serving.conftest import listen, load, make_release, png, serve, wait_until, want

__all__ = ["listen", "load", "make_release", "png", "serve", "wait_until", "want"]

NOWHERE = "http://127.0.0.1:9"


class Machine:
    """One machine: its environment, its project file, its drop folder."""

    def __init__(self, folder: Path, project: str) -> None:
        self.landing = folder / "landing"
        self.project = project
        self.projects = folder / "projects"
        self.projects.mkdir(parents=True)
        self.write_project()

    def write_project(self, **changes: object) -> None:
        """Write the project file: digits, trained for a moment and easily content."""
        settings = {
            "name": self.project,
            "classes": list("0123456789"),
            "training": {"epochs": 3, "min_images": 10},
            "promotion": {"min_accuracy": 0.0, "min_worst_class_recall": 0.0},
            "deployment": {"ready_seconds": 30},
        }
        (self.projects / f"{self.project}.yaml").write_text(yaml.safe_dump(settings | changes))

    def deliver(self, day: str, first: int = 0, images: int = 40) -> Path:
        """Have the camera deliver labelled digits."""
        specimens = ARRIVAL_SPECIMENS[first : first + images]
        options = {"lens": CLEAN_LENS, "labelled": True, "project": self.project}
        return deliver_day(self.landing, date.fromisoformat(day), specimens, **options)


@pytest.fixture
def machine(tmp_path, monkeypatch, request, ledger: Ledger) -> Machine:
    """A machine with an empty ledger, and neither MLflow nor a serving process."""
    # MLflow lives longer than a test and must not show it the runs of another.
    machine = Machine(tmp_path, f"cli_{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}")
    locations = {
        "HOME": str(tmp_path / "home"),
        "STORE": str(tmp_path / "store"),
        "LANDING": str(machine.landing),
        "PROJECTS": str(machine.projects),
        "LEDGER_URI": ledger.url.render_as_string(hide_password=False),
        "MLFLOW_URI": NOWHERE,
        "SERVING_URI": NOWHERE,
    }
    for name, value in locations.items():
        monkeypatch.setenv(f"WINDHOVER_{name}", value)
    return machine


@pytest.fixture
def settings(machine) -> Settings:
    """Locations of the machine, for its serving processes."""
    return load_settings()


@pytest.fixture
def invoke(machine) -> Callable[..., object]:
    """Call a verb in this process."""
    return lambda verb, *words: CliRunner().invoke(app, [verb, "--project", machine.project, *map(str, words)])


@pytest.fixture
def execute(machine) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a verb in a process of its own."""

    def run(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "include.cli", verb, "--project", machine.project, *words]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)

    return run


@pytest.fixture
def serving(machine, monkeypatch, serve):
    """A serving process of the machine."""
    serving = serve()
    monkeypatch.setenv("WINDHOVER_SERVING_URI", serving.uri)
    return serving


@pytest.fixture
def workplace(machine, monkeypatch, mlflow_uri):
    """A workplace whose project has three versions in MLflow, to be crowned."""
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    tracking = Tracking(mlflow_uri)
    with tracking.connect() as client:
        run = client.create_run(tracking.find_experiment(machine.project)).info
        client.create_registered_model(machine.project)
        for _ in range(3):
            client.create_model_version(machine.project, run.artifact_uri, run.run_id, await_creation_for=0)
    return lambda: Workplace.open(machine.project)


@pytest.fixture
def make(make_release, machine):
    """Publish and record a release of the machine's project."""
    return lambda version, **options: make_release(version, name=machine.project, **options)
