"""The home folder of one embedded stack: where everything lies, and on which ports it answers."""

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import quote

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.errors import StackError
from include.contracts import Contract
from include.settings import Settings, load_settings
from include.storage import write_atomically

LOOPBACK = "127.0.0.1"
DATABASE_USER = "windhover"
# A Unix socket's path may have 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 100

Read = TypeVar("Read")
Port = Annotated[int, Field(ge=1, le=65535)]
REPLICAS = 2


class Ports(Contract):
    """Where each part listens, on the loopback address only."""

    airflow: Port = 8080
    mlflow: Port = 5500
    serving: Port = 8090
    postgres: Port = 5480


class _PortSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="WINDHOVER_")

    airflow_port: Port | None = None
    mlflow_port: Port | None = None
    serving_port: Port | None = None
    postgres_port: Port | None = None


@dataclass(frozen=True)
class Home:
    """One home folder. Nothing of a stack lies outside it but sockets whose path would be too long.

    :ivar replicas: Serving processes of the stack itself; 0 where releases are served in containers of their own.
    """

    settings: Settings
    ports: Ports
    replicas: int = REPLICAS

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.settings.home.resolve()

    @property
    def secrets(self) -> Path:
        """Passwords and keys, for the owner's eyes only."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """One log per part, and Airflow's task logs."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What only matters while the stack runs."""
        return self.root / "run"

    @property
    def database(self) -> Path:
        """PostgreSQL's data."""
        return self.root / "postgres"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlflow"

    @property
    def airflow(self) -> Path:
        """`AIRFLOW_HOME`."""
        return self.root / "airflow"

    @property
    def cache(self) -> Path:
        """`HOME` of every part: what libraries want to keep lands here, not with the user."""
        return self.root / "cache"

    @property
    def front(self) -> Path:
        """What nginx writes, and its configuration."""
        return self.run / "front"

    @property
    def socket(self) -> Path:
        """The supervisor's Unix socket."""
        return _socket_of(self.root)

    def find_socket(self, part: str) -> Path:
        """Return the Unix socket of a serving process."""
        return self.socket.with_name(f"{part}.sock")

    @property
    def passwords(self) -> Path:
        """The file in which libpq and asyncpg find PostgreSQL's password, so that no URL carries it."""
        return self.secrets / "pgpass"

    @property
    def airflow_url(self) -> str:
        """Where Airflow's UI and REST API answer."""
        return f"http://{LOOPBACK}:{self.ports.airflow}"

    @property
    def postgres_host(self) -> str:
        """Where PostgreSQL listens."""
        return LOOPBACK

    @property
    def mlflow_url(self) -> str:
        """Where MLflow answers."""
        return f"http://{LOOPBACK}:{self.ports.mlflow}"

    @property
    def serving_url(self) -> str:
        """Where predictions are served."""
        return f"http://{LOOPBACK}:{self.ports.serving}"

    def database_url(self, database: str) -> str:
        """URL of one of the databases; libpq reads the password from the file it names."""
        passwords = quote(str(self.passwords), safe="")
        return f"postgresql+psycopg2://{DATABASE_USER}@{self.postgres_host}:{self.ports.postgres}/{database}?passfile={passwords}"

    def locations(self) -> dict[str, str]:
        """Return the variables `include.settings` reads, for this stack."""
        landing = self.settings.landing_uri
        return {
            "WINDHOVER_HOME": str(self.root),
            "WINDHOVER_STORE": self.settings.store or str(self.root / "store"),
            "WINDHOVER_LANDING": landing if "://" in landing else str(Path(landing).absolute()),
            "WINDHOVER_PROJECTS": str(self.settings.projects.absolute()),
            "WINDHOVER_MLFLOW_URI": self.mlflow_url,
            "WINDHOVER_SERVING_URI": self.serving_url,
            "WINDHOVER_AIRFLOW_URI": self.airflow_url,
            **{f"WINDHOVER_{name.upper()}": value for name, value in self.settings if name.endswith("_public")},
            "WINDHOVER_SERVING_REPLICAS": str(self.replicas or self.settings.serving_replicas),
            "WINDHOVER_TARGET": self.settings.target,
        }

    def remember_choices(self) -> None:
        """Keep the chosen ports for commands that are given none, and the number of replicas while the stack runs."""
        write_atomically(_ports_file(self.root), self.ports.model_dump_json(indent=2).encode())
        write_atomically(_replicas_file(self.root), str(self.replicas).encode())


def open_home() -> Home:
    """Read the home folder and its ports: a running stack's, else the environment's, the last `up`'s, the defaults.

    The number of replicas is a running stack's, else the environment's, else the default.
    """
    settings = _valid(load_settings)
    root = settings.home.resolve()
    used, wanted, runs = _read_ports(root), read_wanted_ports(), _is_supervised(root)
    ports = _valid(lambda: Ports.model_validate(wanted | used if runs else used | wanted))
    replicas = _read_replicas(root) if runs else read_wanted_replicas()
    return Home(settings, ports, REPLICAS if replicas is None else replicas)


def read_wanted_ports() -> dict[str, int]:
    """Return the ports the environment asks for, by part."""
    settings = _valid(_PortSettings)
    return {name.removesuffix("_port"): port for name, port in settings if port is not None}


def read_wanted_replicas() -> int | None:
    """Return the number of serving processes the environment asks for; none of them where containers serve."""
    settings = _valid(load_settings)
    if settings.target == "docker":
        return 0
    return settings.serving_replicas if "serving_replicas" in settings.model_fields_set else None


@contextmanager
def private_umask() -> Iterator[None]:
    """Create files for the owner only."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _valid(read: Callable[[], Read]) -> Read:
    try:
        return read()
    except ValidationError as error:
        detail = error.errors()[0]
        variable = f"WINDHOVER_{'_'.join(map(str, detail['loc'])).upper()}"
        raise StackError(f"{variable}={detail['input']!r}: {detail['msg']}") from error


def _socket_of(root: Path) -> Path:
    inside = root / "run" / "supervisor.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"windhover-{os.geteuid()}-{name}" / "supervisor.sock"


def _is_supervised(root: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(_socket_of(root))) == 0


def _ports_file(root: Path) -> Path:
    return root / "ports.json"


def _replicas_file(root: Path) -> Path:
    return root / "run" / "replicas"


def _read_replicas(root: Path) -> int | None:
    with suppress(FileNotFoundError):
        return int(_replicas_file(root).read_text())
    return None


def _read_ports(root: Path) -> dict[str, int]:
    try:
        ports: dict[str, int] = json.loads(_ports_file(root).read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StackError(
            f"{_ports_file(root)} is not JSON ({error}); delete it, the next `up` writes it anew"
        ) from error
    return ports
