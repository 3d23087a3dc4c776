"""One real stack for all integration tests of a session, on ports and in a home of its own."""

import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from examples.story.airflow_client import AirflowClient
from include.settings import REPOSITORY
from tests.integration.browsing import browser as browser
from tests.integration.browsing import signed_in as signed_in
from tests.integration.datasets import arrived as arrived
from tests.integration.datasets import backfilled as backfilled
from tests.integration.datasets import images as images
from tests.integration.datasets import later_days as later_days
from tests.integration.datasets import ledger as ledger
from tests.integration.datasets import loop as loop
from tests.integration.datasets import projects as projects
from tests.integration.datasets import refused as refused
from tests.integration.datasets import released as released
from tests.integration.datasets import store as store
from tests.integration.datasets import subject_erased as subject_erased
from tests.integration.datasets import trained as trained

UP_SECONDS = 420
FIXTURE_SECONDS = 1800

# Whoever starts the tests in the background has them ignore Ctrl-C, and everything they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Waits for the end of its standard input, which comes however pytest dies, kill -9 included.
KEEPER = "import subprocess, sys; sys.stdin.read(); subprocess.run([sys.executable, '-m', 'deploy.stack', 'down'])"


def pytest_collection_modifyitems(items):
    """Give whichever test comes first the time that the stack and the whole story take on a busy machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FIXTURE_SECONDS))


@dataclass(frozen=True)
class RunningStack:
    """A stack that answers, and how to reach it."""

    home: Path
    airflow_url: str
    mlflow_url: str
    serving_url: str
    ledger_uri: str
    projects: Path
    store: Path
    landing: Path
    environment: dict[str, str]
    password: str
    serving: httpx.Client
    airflow: httpx.Client
    first_output: str

    def command(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of deploy.stack against this stack."""
        return run_stack(name, *arguments, environment=self.environment | variables)


def run_stack(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m deploy.stack` as people do, from the repository."""
    command = [sys.executable, "-m", "deploy.stack", name, *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=UP_SECONDS
    )


def find_free_ports(count: int) -> list[int]:
    """Find free loopback ports outside the range the kernel hands out to clients."""
    free: list[int] = []
    for port in random.sample(range(20_000, 32_000), 500):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise RuntimeError(f"of 500 loopback ports fewer than {count} are free")


def fresh_environment(home: Path) -> dict[str, str]:
    """Return an environment that puts a stack into a home of its own, on free ports, with project files of its own."""
    projects = home / "projects"
    projects.mkdir()
    shutil.copy(REPOSITORY / "include" / "projects" / "digits.yaml", projects)
    ports = find_free_ports(4)
    parts = ("AIRFLOW", "MLFLOW", "SERVING", "POSTGRES")
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("WINDHOVER_", "AIRFLOW"))}
    chosen = {f"WINDHOVER_{part}_PORT": str(port) for part, port in zip(parts, ports, strict=True)}
    places = {"WINDHOVER_HOME": str(home), "WINDHOVER_PROJECTS": str(projects)}
    return machine | chosen | places | {"COLUMNS": "200"}


@pytest.fixture
def fresh_home() -> Iterator[Callable[[], Path]]:
    """Make homes that are stopped and removed after the test."""
    made: list[Path] = []

    def make() -> Path:
        # Not below pytest's own folder, whose mode it resets: PostgreSQL may run as another user.
        made.append(Path(tempfile.mkdtemp(prefix="windhover-it-")))
        return made[-1]

    yield make
    for home in made:
        run_stack("down", environment=os.environ | {"WINDHOVER_HOME": str(home)})
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The whole stack, healthy."""
    home = Path(tempfile.mkdtemp(prefix="windhover-it-"))
    environment = fresh_environment(home)
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        done = run_stack("up", environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        running = describe(home, environment, done.stdout)
        yield running
        running.airflow.close()
        running.serving.close()
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(120)
        shutil.rmtree(home)


def describe(home: Path, environment: dict[str, str], output: str) -> RunningStack:
    """Read from a running stack how to reach it."""
    exports = run_stack("env", environment=environment).stdout
    located = dict(shlex.split(line)[1].split("=", 1) for line in exports.splitlines())
    airflow_url = f"http://127.0.0.1:{environment['WINDHOVER_AIRFLOW_PORT']}"
    password = (home / "secrets" / "admin_password").read_text()
    airflow = httpx.Client(base_url=airflow_url, timeout=60, trust_env=False)
    token = (home / "secrets" / "serving_token").read_text()
    # A shell would have read it from the file itself.
    located["WINDHOVER_SERVING_TOKEN"] = token
    asking = {"Authorization": f"Bearer {token}"}
    answer = airflow.post("/auth/token", json={"username": "admin", "password": password})
    airflow.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
    return RunningStack(
        home=home,
        airflow_url=airflow_url,
        mlflow_url=located["WINDHOVER_MLFLOW_URI"],
        serving_url=located["WINDHOVER_SERVING_URI"],
        ledger_uri=located["WINDHOVER_LEDGER_URI"],
        projects=Path(located["WINDHOVER_PROJECTS"]),
        store=Path(located["WINDHOVER_STORE"]),
        landing=Path(located["WINDHOVER_LANDING"]),
        environment=environment | located,
        password=password,
        serving=httpx.Client(base_url=located["WINDHOVER_SERVING_URI"], headers=asking, timeout=60, trust_env=False),
        airflow=airflow,
        first_output=output,
    )


STORY = [sys.executable, "-u", "-m", "examples.story"]
PLAY_SECONDS = 1200


@dataclass(frozen=True)
class Played:
    """A story that was told, and what it said."""

    interrupted: tuple[int, str]
    refused: tuple[int, str]
    told: tuple[int, str]


def start_story(stack):
    return subprocess.Popen(
        STORY,
        cwd=REPOSITORY,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(story, text):
    """Read what a story prints until a text comes; return all of it."""
    lines = []
    for line in story.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} never came: {''.join(lines)}")


@pytest.fixture(scope="session")
def played(stack, projects):
    story = start_story(stack)
    said = read_until(story, "Open the curtain")
    wait_for_backfill(stack)
    story.send_signal(signal.SIGINT)
    interrupted = said + read_to_the_end(story, 60)

    telling = start_story(stack)
    said = read_until(telling, "Serving")
    second = subprocess.run(STORY, cwd=REPOSITORY, env=stack.environment, capture_output=True, text=True, check=False)
    told = said + read_to_the_end(telling, PLAY_SECONDS)
    return Played((story.returncode, interrupted), (second.returncode, second.stdout), (telling.returncode, told))


def wait_for_backfill(stack):
    """Wait until the story has begun its backfill, of which it says nothing before the end."""
    deadline = time.monotonic() + 60
    while not stack.airflow.get("/api/v2/backfills", params={"dag_id": "digits.ingest_images"}).json()["backfills"]:
        assert time.monotonic() < deadline, "the story began no backfill"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def airflow(stack, played):
    return AirflowClient(stack.airflow_url, stack.password)


def read_to_the_end(story, seconds):
    """Read what a story prints until it ends; one that does not end in time is killed."""
    try:
        return story.communicate(timeout=seconds)[0]
    finally:
        story.kill()
