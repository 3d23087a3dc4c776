"""One project of docker-compose.yml on a real engine, and how to talk to it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from include.settings import REPOSITORY

FILES = ("docker-compose.yml", "tests/integration/containers/compose.standin.yml")
COMMAND_SECONDS = 1500


@dataclass(frozen=True)
class ComposeProject:
    """One compose project, and how to talk to it."""

    name: str
    environment: dict[str, str]
    secrets: Path
    landing: Path

    def arguments(self, *arguments: str) -> list[str]:
        """Return a whole `docker compose` command line."""
        files = [part for name in FILES for part in ("--file", str(REPOSITORY / name))]
        project = ["--project-name", self.name, "--project-directory", str(REPOSITORY)]
        return ["docker", "compose", "--ansi", "never", "--progress", "plain", *project, *files, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a compose command to its end, whatever that is."""
        return run(self.arguments(*arguments), self.environment)

    def ask(self, *arguments: str) -> str:
        """Run a compose command that has to succeed; return what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def up(self) -> None:
        """Bring the stack up and wait until it is healthy."""
        done = self.run("up", "--detach", "--wait", "--wait-timeout", "900")
        if done.returncode:
            logs = self.run("logs", "--no-color", "--tail", "40").stdout
            pytest.fail(f"the stack did not come up:\n{done.stderr[-3000:]}\n{self.run('ps', '-a').stdout}\n{logs}")

    def inspect(self) -> dict[str, Any]:
        """Return what the engine knows of every container, by service."""
        identifiers = self.ask("ps", "--all", "--quiet").split()
        described = json.loads(run(["docker", "inspect", *identifiers], self.environment).stdout)
        return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in described}

    def url(self, service: str, port: int) -> str:
        """Return where a published port answers now; a restart changes it."""
        return f"http://{self.ask('port', service, str(port)).strip()}"

    def sign_in(self) -> httpx.Client:
        """Return a client of Airflow's REST API."""
        airflow = httpx.Client(base_url=self.url("api-server", 8080), timeout=60, trust_env=False)
        login = {"username": "admin", "password": (self.secrets / "admin_password").read_text()}
        answer = airflow.post("/auth/token", json=login).raise_for_status()
        airflow.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return airflow

    def authorize(self) -> dict[str, str]:
        """Return the header that lets a client into serving."""
        return {"Authorization": f"Bearer {(self.secrets / 'serving_token').read_text()}"}


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command; one that is not installed fails like one that does not work."""
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def skip_unless_required(reason: str) -> NoReturn:
    """Skip, or fail where REQUIRE_ENGINE=1 says that this machine has what the test needs."""
    if os.environ.get("REQUIRE_ENGINE") == "1":
        pytest.fail(f"{reason} (and REQUIRE_ENGINE=1)")
    pytest.skip(reason)
