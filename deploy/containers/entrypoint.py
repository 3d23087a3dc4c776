"""Become one part inside its container, with the mounted secrets in the form that part reads."""

import os
import sys
from collections.abc import Callable

from deploy.containers.health import BEAT
from deploy.containers.home import ContainerHome, open_container_home
from deploy.errors import StackError


def main() -> None:
    """Run `entrypoint PART [ARGUMENT ...]`; the process becomes the part."""
    part, *arguments = sys.argv[1:] or ["(none)"]
    if part not in PARTS:
        sys.exit(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    home = open_container_home()
    try:
        home.write_database_passwords()
        command, environment = PARTS[part](home)
    except StackError as error:
        sys.exit(f"{part}: {error}")
    # What the compose file sets wins over what is derived here.
    os.execvpe(command[0], [*command, *arguments], environment | os.environ)


def _airflow(home: ContainerHome) -> tuple[list[str], dict[str, str]]:
    return ["airflow"], _airflow_environment(home)


def _migrate(home: ContainerHome) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "deploy.containers.migrate"], _airflow_environment(home)


def _settings(home: ContainerHome) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "deploy.containers.settings"], _airflow_environment(home)


def _mlflow(home: ContainerHome) -> tuple[list[str], dict[str, str]]:
    return ["mlflow"], {"MLFLOW_BACKEND_STORE_URI": home.database_url("mlflow")}


def _serving(home: ContainerHome) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "include.serving"], {
        "WINDHOVER_LEDGER_URI": home.database_url("windhover"),
        "WINDHOVER_SERVING_TOKEN": home.read_secret("serving_token"),
    }


def _watcher(home: ContainerHome) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "include.monitoring", "--beat", str(BEAT)], {
        "WINDHOVER_LEDGER_URI": home.database_url("windhover"),
        "WINDHOVER_NOTIFY_URLS": f"notices://{home.logs / 'notifications.ndjson'}\n{home.read_secret('notify_urls')}",
    }


def _airflow_environment(home: ContainerHome) -> dict[str, str]:
    # The image of the serving process has no Airflow.
    from deploy.containers.airflow_options import container_airflow_environment

    return container_airflow_environment(home)


PARTS: dict[str, Callable[[ContainerHome], tuple[list[str], dict[str, str]]]] = {
    "airflow": _airflow,
    "migrate": _migrate,
    "settings": _settings,
    "mlflow": _mlflow,
    "serving": _serving,
    "watcher": _watcher,
}

if __name__ == "__main__":
    main()
