import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy.containers.secrets import NAMES
from include.settings import REPOSITORY
from tests.integration.containers.compose_project import FILES, run, skip_unless_required

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"migrate", "settings"}
LONG_RUNNING = sorted(set(SERVICES) - ONE_SHOTS)
# Their images are not ours; both run as a user these images make.
OFFICIAL_USERS = {"postgres", "redis"}


@pytest.fixture(scope="module")
def compose_command() -> list[str]:
    """`docker compose`, or the stand-alone program COMPOSE_VALIDATOR names; an engine is not needed."""
    candidates = [["docker", "compose"]]
    if validator := os.environ.get("COMPOSE_VALIDATOR"):
        candidates.append([validator])
    working = [command for command in candidates if run([*command, "version"], dict(os.environ)).returncode == 0]
    if not working:
        skip_unless_required("`docker compose` is not installed and COMPOSE_VALIDATOR names no compose program")
    return working[0]


@pytest.mark.parametrize("count", [1, 2], ids=["shipped", "with stand-ins"])
def test_compose_accepts_the_files(compose_command: list[str], count: int):
    files = [part for name in FILES[:count] for part in ("--file", str(REPOSITORY / name))]
    command = [*compose_command, "--project-directory", str(REPOSITORY), *files, "config", "--quiet"]
    done = run(command, dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_would_refuse_a_broken_file(compose_command: list[str], tmp_path):
    broken = tmp_path / "compose.yml"
    broken.write_text("services: {a: {image: x, depends_on: [nobody]}}")
    assert run([*compose_command, "--file", str(broken), "config", "--quiet"], dict(os.environ)).returncode != 0


def test_the_parts_are_those_of_the_design():
    assert set(SERVICES) == ONE_SHOTS | {
        *("postgres", "redis", "mlflow", "serving", "watcher"),
        *("api-server", "scheduler", "dag-processor", "triggerer", "worker"),
    }
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert SERVICES["redis"]["image"] == "redis:8"


def test_only_the_front_ports_are_published_and_only_on_the_loopback():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api-server", "mlflow", "serving"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert not any("network_mode" in service or "privileged" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_part_is_watched_restarted_and_bounded(name: str):
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_rights_it_does_not_need(name: str):
    service = SERVICES[name]
    assert service["user"] == "10001:10001" or (name == service["user"] and name in OFFICIAL_USERS)
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name != "worker")


def test_every_part_starts_after_what_it_needs():
    waits = {name: _conditions(service) for name, service in SERVICES.items()}
    assert waits["migrate"] == {"postgres": "service_healthy"}
    assert waits["settings"] == {"api-server": "service_healthy"}
    waited_for = {name for conditions in waits.values() for name, c in conditions.items() if c.endswith("successfully")}
    assert waited_for == ONE_SHOTS
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "mlflow", "serving", "watcher"):
        assert waits[name]["migrate"] == "service_completed_successfully"
    assert waits["worker"] == {
        "api-server": "service_healthy",
        "redis": "service_healthy",
        "settings": "service_completed_successfully",
    }
    assert waits["scheduler"]["redis"] == "service_healthy"


def test_no_password_stands_in_the_file():
    text = (REPOSITORY / "docker-compose.yml").read_text()
    assert not re.search(r"://[^/\s]*:[^/\s]*@", text)
    secretive = re.compile("PASSWORD|SECRET|TOKEN|FERNET|_KEY|CONN", re.IGNORECASE)
    given = {
        name: value for service in SERVICES.values() for name, value in _environment(service) if secretive.search(name)
    }
    assert given == {"POSTGRES_PASSWORD_FILE": "/run/secrets/postgres_password"}


def test_the_generator_makes_exactly_the_secrets_the_file_mounts():
    assert set(COMPOSE["secrets"]) == set(NAMES)
    mounted = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert mounted == set(NAMES)


def test_project_code_has_no_way_into_a_database_it_is_not_handed():
    """Tasks run on the worker: the ledger's credentials reach them as an Airflow connection, Airflow's own never."""
    assert set(SERVICES["worker"]["secrets"]) == {"api_secret_key", "redis_password"}
    holders = {name for name, service in SERVICES.items() if "postgres_password" in service.get("secrets", [])}
    assert holders == {"postgres"}


def test_data_outlives_its_containers():
    mounts = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    named = {"postgres", "redis", "store", "mlflow", "serving", "logs", "keys"}
    assert named <= mounts
    assert set(COMPOSE["volumes"]) == named | {"landing"}


def _conditions(service: dict[str, Any]) -> dict[str, str]:
    return {name: wait["condition"] for name, wait in service.get("depends_on", {}).items()}


def _environment(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from service.get("environment", {}).items()
