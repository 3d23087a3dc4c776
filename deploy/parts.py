"""The parts of the embedded stack: what each runs, what it needs first, and where it answers."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy.airflow_environment import airflow_environment
from deploy.credentials import Credentials
from deploy.home import LOOPBACK, Home
from deploy.postgres import postgres_command
from include.settings import REPOSITORY

# Every process of a stack carries these, so that what a killed one leaves behind can be found.
STACK_MARKER = "WINDHOVER_STACK"
PART_MARKER = "WINDHOVER_PART"
_FOREIGN = ("AIRFLOW", "MLFLOW_", "PG", "WINDHOVER_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Part:
    """One program under the supervisor."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(repr=False)
    url: str = ""


def describe_parts(home: Home, credentials: Credentials) -> dict[str, Part]:
    """Return every part by name, in the order in which they are shown."""
    airflow = airflow_environment(home, credentials)
    airflow_command = [sys.executable, "-m", "airflow"]
    no_log_server = "--skip-serve-logs"  # it would listen on every address; the logs lie on this machine anyway
    parts = [
        Part("postgres", postgres_command(home), {}, f"{LOOPBACK}:{home.ports.postgres}"),
        Part("mlflow", _mlflow_command(home), _mlflow_environment(home), home.mlflow_url),
        Part("api-server", [*airflow_command, "api-server"], airflow, home.airflow_url),
        Part("scheduler", [*airflow_command, "scheduler", no_log_server], airflow),
        Part("dag-processor", [*airflow_command, "dag-processor"], airflow),
        Part("triggerer", [*airflow_command, "triggerer", no_log_server], airflow),
        Part(
            "serving",
            _serving_command(home),
            {"WINDHOVER_LEDGER_URI": home.database_url("windhover")},
            home.serving_url,
        ),
    ]
    return {part.name: part for part in parts}


PART_NAMES = ("postgres", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "serving")


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


def _serving_command(home: Home) -> list[str]:
    return [sys.executable, "-m", "include.serving", "--port", str(home.ports.serving)]
