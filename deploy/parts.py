"""The parts of the embedded stack: what each runs, what it needs first, and where it answers."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from deploy.airflow_environment import airflow_environment
from deploy.credentials import Credentials
from deploy.front import front_command
from deploy.home import LOOPBACK, Home
from deploy.postgres import postgres_command
from include.settings import REPOSITORY

# Every process of a stack carries these, so that what a killed one leaves behind can be found.
STACK_MARKER = "WINDHOVER_STACK"
PART_MARKER = "WINDHOVER_PART"
TOKEN = "WINDHOVER_SERVING_TOKEN"  # noqa: S105 - the name of a variable
FRONT = "front"
WATCHER = "watcher"
_FOREIGN = ("AIRFLOW", "MLFLOW_", "PG", "WINDHOVER_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Part:
    """One program under the supervisor.

    :ivar needs_database: Whether it waits for PostgreSQL before it starts; serving starts from what it remembers, and
        the watcher tells of PostgreSQL's absence.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(repr=False)
    url: str = ""
    needs_database: bool = True


def describe_parts(home: Home, credentials: Credentials) -> dict[str, Part]:
    """Return every part by name, in the order in which they are shown."""
    token = {TOKEN: credentials.serving_token}
    airflow = airflow_environment(home, credentials) | token
    airflow_command = [sys.executable, "-m", "airflow"]
    no_log_server = "--skip-serve-logs"  # it would listen on every address; the logs lie on this machine anyway
    ledger = {"WINDHOVER_LEDGER_URI": home.database_url("windhover")}
    parts = [
        Part("postgres", postgres_command(home), {}, f"{LOOPBACK}:{home.ports.postgres}", needs_database=False),
        Part("mlflow", _mlflow_command(home), _mlflow_environment(home), home.mlflow_url),
        Part("api-server", [*airflow_command, "api-server"], airflow, home.airflow_url),
        Part("scheduler", [*airflow_command, "scheduler", no_log_server], airflow),
        Part("dag-processor", [*airflow_command, "dag-processor"], airflow),
        Part("triggerer", [*airflow_command, "triggerer", no_log_server], airflow),
        *(
            Part(name, _serving_command(home, name), ledger | token, needs_database=False)
            for name in name_replicas(home.replicas)
        ),
        Part(FRONT, front_command(home), {}, home.serving_url, needs_database=False),
        Part(WATCHER, _watcher_command(home), ledger | _name_channels(home), needs_database=False),
    ]
    return {part.name: part for part in parts if part.name in name_parts(home.replicas)}


def name_parts(replicas: int) -> tuple[str, ...]:
    """Return the names of all parts, in the order in which they are shown; no front where nothing is behind it."""
    airflow = ("api-server", "scheduler", "dag-processor", "triggerer")
    return ("postgres", "mlflow", *airflow, *name_replicas(replicas), *([FRONT] if replicas else []), WATCHER)


def name_replicas(replicas: int) -> tuple[str, ...]:
    """Return the names of the serving processes."""
    return tuple(f"serving-{number}" for number in range(1, replicas + 1))


def find_beat(home: Home) -> Path:
    """Return the file that the watcher writes after every look."""
    return home.run / "watcher.beat"


def shared_environment(home: Home) -> dict[str, str]:
    """Return the environment all parts start from: the machine's, without what would change them by accident."""
    machine = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return (
        machine
        | home.locations()
        | {
            STACK_MARKER: str(home.root),
            "SPT_NOENV": "1",  # keeps setproctitle from overwriting the marker
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "plugins")]),
            "PYTHONUNBUFFERED": "1",
            "TZ": "UTC",
            "HOME": str(home.cache),
            "XDG_CACHE_HOME": str(home.cache),
            "MALLOC_ARENA_MAX": "2",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GX_ANALYTICS_ENABLED": "false",
            "ORT_DISABLE_TELEMETRY": "1",
        }
    )


def _mlflow_command(home: Home) -> list[str]:
    port = str(home.ports.mlflow)
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", port, "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", str(home.artifacts)]
    return [*command, "--allowed-hosts", f"{LOOPBACK}:{port},localhost:{port}"]


def _mlflow_environment(home: Home) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": home.database_url("mlflow"),
        # Its job runners evaluate language models, and cost several processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _serving_command(home: Home, name: str) -> list[str]:
    return [sys.executable, "-m", "include.serving", "--name", name, "--socket", str(home.find_socket(name))]


def _watcher_command(home: Home) -> list[str]:
    return [sys.executable, "-m", "include.monitoring", "--beat", str(find_beat(home))]


def _name_channels(home: Home) -> dict[str, str]:
    """Name the channels for notifications: a file in the home, and those the owner has written down."""
    urls = [f"notices://{quote(str(home.root / 'notifications.ndjson'))}"]
    # Written by the owner, in Apprise's text format; addresses hold passwords.
    owned = home.secrets / "notify_urls"
    if owned.exists():
        urls.append(owned.read_text())
    return {"WINDHOVER_NOTIFY_URLS": "\n".join(urls)}
