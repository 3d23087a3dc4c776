"""The serving half of an embedded stack, for real: PostgreSQL, supervisor, serving processes and nginx."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from rich.console import Console

from benchmarks.open_loop import Question
from benchmarks.untrained_releases import IMAGE, ReleaseMaker
from deploy.credentials import load_credentials
from deploy.databases import ensure_databases
from deploy.errors import StackError
from deploy.health import is_healthy
from deploy.home import Home, Ports
from deploy.parts import FRONT, name_replicas
from deploy.ports import check_ports
from deploy.processes import reap
from deploy.startup import prepare_home
from deploy.supervision import Supervisor
from include.contracts import ReleaseRef, ReplicaReport
from include.ledger import Ledger
from include.ledger.plans import find_plan, list_replicas
from include.ledger.rollouts import complete_rollout, start_rollout
from include.project import load_project
from include.settings import REPOSITORY, Settings
from include.storage import Store
from include.vision.decoding import encode_canonical

WAIT_SECONDS = 90.0


class Switch(NamedTuple):
    """One release made champion; moments in seconds of the monotonic clock."""

    release: str
    begun: float
    planned: float
    followed: float


@dataclass(frozen=True)
class ServingGround:
    """Serving processes behind one address, and who makes releases for them."""

    home: Home
    ledger: Ledger
    store: Store
    releases: ReleaseMaker

    @property
    def replicas(self) -> tuple[str, ...]:
        """Names of the serving processes."""
        return name_replicas(self.home.replicas)

    @property
    def question(self) -> Question:
        """What a load asks."""
        url = f"{self.home.serving_url}/v1/predict?project={self.releases.project.name}"
        return Question(url, encode_canonical(IMAGE), load_credentials(self.home).serving_token)

    def read_tries(self) -> list[str]:
        """Return nginx's line about each request that did not go smoothly."""
        return [line for line in (self.home.logs / f"{FRONT}.log").read_text().splitlines() if " tried " in line]

    def is_ready(self, replica: str) -> bool:
        """Whether a serving process gives right answers."""
        transport = httpx.HTTPTransport(uds=str(self.home.find_socket(replica)))
        try:
            with httpx.Client(transport=transport, timeout=WAIT_SECONDS) as client:
                return client.get("http://replica/readyz").is_success
        except httpx.TransportError:
            return False

    def switch(self, release: ReleaseRef, run: str) -> Switch:
        """Make a release the champion once every process holds it; return once they all follow."""
        name, begun = release.model.model.project, time.monotonic()
        rollout = start_rollout(self.ledger, release, run, "direct", {})
        self._await_replicas(lambda report: release.digest in report.held.get(name, ()))
        planned = time.monotonic()
        complete_rollout(self.ledger, rollout)
        plan = find_plan(self.ledger, name)
        assert plan is not None  # noqa: S101
        self._await_replicas(lambda report: report.revisions.get(name) == plan.revision)
        return Switch(release.digest, begun, planned, time.monotonic())

    def _await_replicas(self, holds: Callable[[ReplicaReport], bool]) -> None:
        def all_hold() -> bool:
            reports = list_replicas(self.ledger)
            return {report.name for report in reports} == set(self.replicas) and all(map(holds, reports))

        wait_until(all_hold, "every serving process to follow")


def wait_until(condition: Callable[[], bool], what: str, pause: float = 0.05) -> None:
    """Return as soon as a condition holds.

    :raises TimeoutError: it does not.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {WAIT_SECONDS:g} s for {what}")
        time.sleep(pause)


@contextmanager
def start_serving(replicas: int = 2) -> Iterator[ServingGround]:
    """Run everything for as long as the block lives, in a home of its own."""
    folder = Path(tempfile.mkdtemp(prefix="windhover-"))
    settings = Settings(home=folder, store=str(folder / "store"))
    home = Home(settings, _find_free_ports(settings), replicas)
    supervisor = Supervisor(home)
    try:
        prepare_home(home, Console(quiet=True))
        supervisor.launch()
        _start(home, "postgres")
        ensure_databases(home)
        ledger, store = Ledger(home.database_url("windhover")), Store(str(folder / "store"))
        ledger.migrate()
        _start(home, *name_replicas(replicas))
        _start(home, FRONT)
        project = load_project(REPOSITORY / "include" / "projects" / "digits.yaml")
        yield ServingGround(home, ledger, store, ReleaseMaker(project, home.root, store, ledger))
    finally:
        if supervisor.is_running():
            supervisor.shut_down()
        reap(home)
        shutil.rmtree(folder, ignore_errors=True)


def _start(home: Home, *names: str) -> None:
    supervisor = Supervisor(home)
    for name in names:
        supervisor.start(name)
    wait_until(lambda: all(is_healthy(home, supervisor.describe()[name]) for name in names), " and ".join(names))


def _find_free_ports(settings: Settings) -> Ports:
    # Not those that the kernel gives to clients: the last one is bound only seconds later.
    draw = np.random.default_rng()
    while True:
        drawn = draw.choice(range(20_000, 32_000), len(Ports.model_fields), replace=False)
        ports = Ports(**dict(zip(Ports.model_fields, drawn.tolist(), strict=True)))
        with suppress(StackError):
            check_ports(Home(settings, ports))
            return ports


def print_table(lines: Mapping[str, tuple[object, str]], failures: Sequence[str]) -> None:
    """Print what was found with its limit beside it, and the first of the failures."""
    print(f"{'':<30}{'found':>10}{'limit':>10}")
    for name, (value, limit) in lines.items():
        print(f"{name:<30}{value!s:>10}{limit:>10}")
    for failure in failures[:10]:
        print(f"  {failure}")
