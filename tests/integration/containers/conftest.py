"""The stack of docker-compose.yml on a real engine, with a project name, secrets and host ports of its own."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.containers.secrets import generate_secrets
from tests.integration.containers.compose_project import ComposeProject, run, skip_unless_required

# Waits for the end of its standard input, which comes however pytest dies, kill -9 included.
KEEPER = "import subprocess, sys; sys.stdin.read(); subprocess.run(sys.argv[1:])"


@pytest.fixture(scope="module")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], ComposeProject]]:
    """Give a function that makes compose projects; what they leave on the engine goes with the module."""
    _check_engine()
    keepers = []

    def make() -> ComposeProject:
        folder = tmp_path_factory.mktemp("compose")
        landing = folder / "landing"
        landing.mkdir()
        landing.chmod(0o755)
        secrets = folder / "secrets"
        generate_secrets(secrets)
        name = f"windhover-test-{uuid.uuid4().hex[:8]}"
        project = ComposeProject(name, _environment(secrets, landing), secrets, landing)
        down = project.arguments("down", "--volumes", "--remove-orphans", "--timeout", "10")
        command = [sys.executable, "-c", KEEPER, *down]
        keepers.append(
            subprocess.Popen(
                command,
                env=project.environment,
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        return project

    yield make
    for keeper in keepers:
        keeper.communicate(timeout=300)


@pytest.fixture(scope="module")
def compose(make_project: Callable[[], ComposeProject]) -> ComposeProject:
    """The whole stack, built and healthy."""
    project = make_project()
    project.ask("build")
    project.up()
    return project


def _environment(secrets: Path, landing: Path) -> dict[str, str]:
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("WINDHOVER_", "COMPOSE_"))}
    ports = {f"WINDHOVER_{part}_PORT": "0" for part in ("AIRFLOW", "MLFLOW", "SERVING")}
    return (
        machine
        | ports
        | {
            "WINDHOVER_TAG": "test",
            "WINDHOVER_SECRETS": str(secrets),
            "WINDHOVER_LANDING": str(landing),
        }
    )


def _check_engine() -> None:
    where = os.environ.get("DOCKER_HOST", "the default socket")
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        done = run(command, dict(os.environ))
        if done.returncode:
            why = " ".join(done.stderr.split()) or f"`{' '.join(command)}` failed"
            skip_unless_required(f"no container engine reachable at {where}: {why}")
