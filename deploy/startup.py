"""Bring the embedded stack up in order, and down without a trace."""

import fcntl
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from deploy.airflow_environment import locate_lineage
from deploy.airflow_settings import apply_airflow_settings
from deploy.credentials import ADMIN, ensure_credentials, load_credentials
from deploy.databases import ensure_databases, note_migrated_version, read_migrated_version
from deploy.errors import StackError
from deploy.health import is_healthy
from deploy.home import Home, private_umask, read_wanted_ports, read_wanted_replicas
from deploy.launch import count_starts, starts_file
from deploy.parts import FRONT, WATCHER, describe_parts, name_parts, name_replicas, shared_environment
from deploy.ports import check_ports
from deploy.postgres import ensure_data_folder
from deploy.processes import find_processes, reap
from deploy.supervision import Supervisor
from include.ledger import Ledger

READY_SECONDS = 300
FREE_BYTES = 1_000_000_000
# A part may lose one or two starts to a race; one that fails more often will not come up by itself.
ATTEMPTS = 4


def bring_up(home: Home, console: Console) -> None:
    """Start what does not run, wait until every part answers, apply the Airflow settings."""
    with _exclusively(home, console):
        began = time.monotonic()
        if Supervisor(home).is_running():
            _check_same_choices(home)
        else:
            prepare_home(home, console)
            Supervisor(home).launch()
        with console.status("starting the stack"):
            _Startup(home, console).run()
            apply_airflow_settings(home)
        console.print(f"stack is up after {time.monotonic() - began:.1f} s")
        _show_access(home, console)


def bring_down(home: Home, console: Console) -> None:
    """Stop every process of the stack, also when its supervisor is gone."""
    if not home.root.exists() or not (Supervisor(home).is_running() or find_processes(home)):
        console.print(f"no stack runs in {home.root}")
        return
    with _exclusively(home, console):
        with console.status("stopping the stack"):
            if Supervisor(home).is_running():
                Supervisor(home).shut_down()
            left = reap(home)
        for socket in (home.socket, *map(home.find_socket, name_replicas(home.replicas))):
            socket.unlink(missing_ok=True)
        console.print("stack is down" + (f"; {left} leftover processes were ended" if left else ""))


@contextmanager
def _exclusively(home: Home, console: Console) -> Iterator[None]:
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"another command is starting or stopping the stack in {home.root}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare_home(home: Home, console: Console) -> None:
    """End what an earlier stack left, then make everything in a home that must be there before its parts start."""
    if left := reap(home):
        console.print(f"{left} processes of a stack whose supervisor died were ended")
    check_ports(home)
    _check_disk(home.root)
    for folder in (home.artifacts, home.cache):
        folder.mkdir(parents=True, exist_ok=True)
    with private_umask():
        home.airflow.mkdir(exist_ok=True)
        home.logs.mkdir(exist_ok=True)
        home.run.mkdir(exist_ok=True)
        locate_lineage(home).parent.mkdir(exist_ok=True)
    if ensure_credentials(home):
        console.print("Airflow  password of user admin, shown this once:", load_credentials(home).admin_password)
    for opened in ensure_data_folder(home):
        console.print(
            f"opened {opened} to passers-by (chmod o+x): PostgreSQL does not run as root and must get through"
        )
    for name in name_parts(home.replicas):
        starts_file(home, name).unlink(missing_ok=True)
    home.remember_choices()


def _check_same_choices(home: Home) -> None:
    running = home.ports.model_dump()
    for part, port in read_wanted_ports().items():
        if port != running[part]:
            raise StackError(
                f"the stack runs already, with {part} on port {running[part]}; `make down` to move it to {port}"
            )
    wanted = read_wanted_replicas()
    if wanted not in (None, home.replicas):
        raise StackError(
            f"the stack runs already, with {home.replicas} serving replicas; `make down` to start it with {wanted}"
        )


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise StackError(
            f"only {free / 1e6:.0f} MB free at {folder}; the stack needs 1 GB, free some or set WINDHOVER_HOME"
        )


class _Startup:
    """One way through the parts: PostgreSQL first, then everything that waits only for its own database."""

    def __init__(self, home: Home, console: Console) -> None:
        self.home = home
        self.console = console
        self.supervisor = Supervisor(home)
        self.given_up = threading.Event()

    def run(self) -> None:
        """Start what does not run; return once every part answers."""
        self._start("postgres")
        ensure_databases(self.home)
        with ThreadPoolExecutor() as pool:
            chains = [pool.submit(chain) for chain in (self._start_airflow, self._start_mlflow, self._start_serving)]
            try:
                for chain in as_completed(chains):
                    chain.result()
            finally:
                self.given_up.set()

    def _start_airflow(self) -> None:
        self._migrate("airflow", "apache-airflow-core", "api-server", ["airflow", "db", "migrate"])
        self._start("api-server", "scheduler", "dag-processor", "triggerer")

    def _start_mlflow(self) -> None:
        self._migrate("mlflow", "mlflow", "mlflow", ["mlflow", "db", "upgrade", self.home.database_url("mlflow")])
        self._start("mlflow")

    def _start_serving(self) -> None:
        Ledger(self.home.database_url("windhover")).migrate()
        self._start(*name_replicas(self.home.replicas))
        if self.home.replicas:
            self._start(FRONT)
        self._start(WATCHER)

    def _migrate(self, database: str, package: str, part: str, command: list[str]) -> None:
        installed = version(package)
        if read_migrated_version(self.home, database) == installed:
            return
        described = describe_parts(self.home, load_credentials(self.home))[part]
        program = [sys.executable, "-m", *command]
        environment = shared_environment(self.home) | described.environment
        log = self.home.logs / f"migrate-{database}.log"
        with log.open("w") as output:
            done = subprocess.run(
                program, env=environment, stdout=output, stderr=output, cwd=self.home.root, check=False
            )
        if done.returncode:
            raise StackError(f"the migration of the database {database!r} failed: {_last_line(log)}; see {log}")
        note_migrated_version(self.home, database, installed)

    def _start(self, *names: str) -> None:
        began = time.monotonic()
        starts_before = {name: count_starts(self.home, name) for name in names}
        for name in names:
            self.supervisor.start(name)
        waiting = set(names)
        while waiting and not self.given_up.is_set():
            for name in sorted(waiting):
                if self._is_ready(name, starts_before[name]):
                    self.console.print(f"  {name:<14} ready after {time.monotonic() - began:4.1f} s")
                    waiting.remove(name)
            if waiting and time.monotonic() - began > READY_SECONDS:
                raise StackError(self._explain(min(waiting), f"does not answer after {READY_SECONDS} s"))
            time.sleep(0.2)

    def _is_ready(self, name: str, starts_before: int) -> bool:
        info = self.supervisor.describe()[name]
        if info["statename"] == "FATAL" or count_starts(self.home, name) - starts_before > ATTEMPTS:
            raise StackError(self._explain(name, "does not stay up"))
        return is_healthy(self.home, info)

    def _explain(self, name: str, what: str) -> str:
        log = self.home.logs / f"{name}.log"
        return f"{name} {what}: {_last_line(log)}; see {log}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no message")


def _show_access(home: Home, console: Console) -> None:
    password = home.secrets / "admin_password"
    console.print(f"Airflow  {home.airflow_url}  (user {ADMIN}, password in {password})", soft_wrap=True)
    console.print(f"MLflow   {home.mlflow_url}")
    token = home.secrets / "serving_token"
    console.print(f"Serving  {home.serving_url}  (token in {token})", soft_wrap=True)
