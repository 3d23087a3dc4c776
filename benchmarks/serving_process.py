"""One serving process by itself, with a release of an untrained network, on cores of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.attempts import start_postgres
from benchmarks.untrained_releases import ReleaseMaker
from include.ledger import Ledger
from include.ledger.rollouts import start_rollout
from include.project import Project, TrainingConfig, load_project
from include.settings import REPOSITORY, Settings
from include.vision.releases import Bundle, open_release

START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A process that listens."""

    port: int
    process: subprocess.Popen[bytes]

    def read_memory(self) -> float:
        """Return the most memory that its process ever held, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000


def make_project(architecture: str, side: int) -> Project:
    """Make a project that classifies JPEG and PNG files with a network, its input of so many pixels a side."""
    digits = load_project(REPOSITORY / "include" / "projects" / "digits.yaml")
    data = digits.data.model_copy(update={"formats": ("JPEG", "PNG")})
    training = TrainingConfig(architecture=architecture, image_size=side)
    return digits.model_copy(update={"data": data, "training": training})


@contextmanager
def open_service(project: Project, folder: Path) -> Iterator[tuple[Settings, Bundle]]:
    """Give a ledger and a store whose only release answers for the project, for as long as the block lives."""
    with start_postgres() as uri:
        settings = Settings(home=folder / "home", store=str(folder / "store"), ledger_uri=uri)
        store, ledger = settings.open_store(), Ledger(uri)
        ledger.migrate()
        release = ReleaseMaker(project, settings.home, store, ledger).make(1)
        start_rollout(ledger, release, "benchmark", "direct", {})
        yield settings, open_release(store, release)


@contextmanager
def start_serving(settings: Settings, cores: set[int]) -> Iterator[Server]:
    """Run `python -m include.serving` on some cores for as long as the block lives."""
    environment = {
        "WINDHOVER_HOME": str(settings.home),
        "WINDHOVER_STORE": settings.store,
        "WINDHOVER_LEDGER_URI": settings.ledger_uri,
    }
    port = find_free_port()
    command = [sys.executable, "-m", "include.serving", "--port", str(port)]
    with start_server(command, environment, port, "/readyz", cores, settings.home) as server:
        yield server


@contextmanager
def start_server(
    command: list[str], environment: dict[str, str], port: int, ready: str, cores: set[int], folder: Path
) -> Iterator[Server]:
    """Run a server on some cores from when it answers until the block ends; its log lies in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("wb") as output, stay_on(cores):
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}{ready}", process, log)
        yield Server(port, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def stay_on(cores: set[int]) -> Iterator[None]:
    """Keep to some cores until the block ends, as do the processes that are started in it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def find_free_port() -> int:
    """Let the kernel name a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=5, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{url} did not answer within {START_SECONDS} s:\n{log.read_text()[-4000:]}")
