"""The embedded stack, up for real: healthy, private, small, and back after every part was killed."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import sqlalchemy as sa

from deploy.health import read_status
from deploy.home import Home, Ports
from deploy.parts import name_parts
from deploy.processes import find_processes
from deploy.supervision import Supervisor
from include.settings import REPOSITORY, Settings
from tests.integration.conftest import fresh_environment, run_stack

pytestmark = pytest.mark.integration

PART_NAMES = name_parts(2)
RECOVERY_SECONDS = 150
GIBIBYTE = 1024**3


def home_of(stack):
    ports = {part: int(stack.environment[f"WINDHOVER_{part.upper()}_PORT"]) for part in Ports.model_fields}
    return Home(Settings(home=stack.home), Ports(**ports))


def wait_until(condition, seconds, complaint):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.3)


def wait_until_healthy(home):
    wait_until(
        lambda: all(part.healthy for part in read_status(home)), RECOVERY_SECONDS, lambda: str(read_status(home))
    )


def test_every_part_is_healthy(stack):
    done = stack.command("status")
    assert done.returncode == 0, done.stdout
    assert [part.name for part in read_status(home_of(stack)) if part.healthy] == list(PART_NAMES)


def test_the_password_is_shown_at_the_first_start_only(stack):
    again = stack.command("up")
    assert again.returncode == 0, again.stdout
    assert stack.password in stack.first_output
    assert stack.password not in again.stdout
    assert str(stack.home / "secrets" / "admin_password") in again.stdout


def test_no_dag_file_fails_to_import(stack):
    assert stack.airflow.get("/api/v2/importErrors").raise_for_status().json()["import_errors"] == []


def test_secrets_are_for_the_owner_only(stack):
    folder = stack.home / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_no_secret_is_on_a_command_line_in_a_log_or_in_the_supervisors_file(stack):
    files = ("admin_password", "postgres_password", "fernet_key", "jwt_secret", "api_secret_key", "serving_token")
    secrets = [(stack.home / "secrets" / name).read_text() for name in files]
    lines = [" ".join(process.cmdline()) for process in find_processes(home_of(stack))]
    texts = [path.read_text(errors="replace") for path in stack.home.rglob("*.log")]
    texts.append((stack.home / "run" / "supervisord.conf").read_text())
    assert len(lines) > len(PART_NAMES)
    assert [secret for secret in secrets if any(secret in text for text in lines + texts)] == []


def test_nothing_listens_beyond_the_loopback_address(stack):
    mine = {process.pid for process in find_processes(home_of(stack))}
    listening = [
        connection.laddr
        for connection in psutil.net_connections("inet")
        if connection.pid in mine and connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(home_of(stack).ports.model_dump().values())


def test_strangers_are_refused_by_airflow_and_by_postgres(stack):
    assert stack.airflow.get("/api/v2/connections", headers={"Authorization": ""}).status_code == 401
    url = sa.make_url(stack.ledger_uri).set(query={}, password="guessed")  # noqa: S106 - wrong on purpose
    with pytest.raises(sa.exc.OperationalError, match="password authentication failed"):
        sa.create_engine(url).connect()


def test_the_idle_stack_stays_below_4_gib(stack):
    wait_until_healthy(home_of(stack))
    assert GIBIBYTE < sum(map(measure_memory, find_processes(home_of(stack)))) <= 4 * GIBIBYTE


def measure_memory(process):
    """Bytes that a process holds; pages that forked ones share count once, divided among them."""
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0  # The scheduler's parts come and go.


def test_airflow_settings_are_applied_and_applying_them_again_changes_nothing(stack):
    def read():
        connections = stack.airflow.get("/api/v2/connections").raise_for_status().json()["connections"]
        pools = stack.airflow.get("/api/v2/pools").raise_for_status().json()["pools"]
        return [c["connection_id"] for c in connections], {p["name"]: p["slots"] for p in pools}

    before = read()
    assert stack.command("up").returncode == 0
    assert read() == before
    assert before[0] == ["windhover_ledger"]
    assert before[1]["training"] == 1


def test_a_taken_port_is_one_clear_line_and_nothing_starts(fresh_home):
    home = fresh_home()
    environment = fresh_environment(home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["WINDHOVER_MLFLOW_PORT"])))
        taken.listen()
        done = run_stack("up", environment=environment)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    expected = f"port {environment['WINDHOVER_MLFLOW_PORT']} for mlflow is taken"
    assert expected in line
    assert "set WINDHOVER_MLFLOW_PORT" in line
    assert f"pid {os.getpid()}" in line
    assert run_stack("status", environment=environment).returncode == 1


def test_moving_a_running_stack_is_refused(stack):
    done = stack.command("up", WINDHOVER_MLFLOW_PORT="1")
    assert done.returncode == 1
    assert "make down" in done.stdout


def test_status_finds_the_ports_without_being_told(stack):
    environment = {name: value for name, value in stack.environment.items() if not name.endswith("_PORT")}
    done = run_stack("status", environment=environment)
    assert done.returncode == 0, done.stdout
    assert stack.airflow_url in done.stdout


@pytest.mark.parametrize("name", PART_NAMES)
def test_a_killed_part_comes_back(stack, name):
    home = home_of(stack)
    wait_until_healthy(home)
    before = next(part for part in read_status(home) if part.name == name)
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: Supervisor(home).describe()[name]["pid"] not in {0, before.pid}, 60, lambda: name)
    wait_until_healthy(home)
    after = next(part for part in read_status(home) if part.name == name)
    assert after.restarts > before.restarts


def test_the_ledger_keeps_its_rows_when_postgres_is_killed(stack):
    engine = sa.create_engine(stack.ledger_uri, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)"))
    home = home_of(stack)
    os.kill(Supervisor(home).describe()["postgres"]["pid"], signal.SIGKILL)
    wait_until_healthy(home)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT value FROM kept")) == 7
        connection.execute(sa.text("DROP TABLE kept"))


def test_two_ups_at_once_an_interrupted_one_and_a_dead_supervisor_end_in_one_stack_and_down_leaves_nothing(fresh_home):
    environment = fresh_environment(fresh_home())
    home = Home(Settings(home=environment["WINDHOVER_HOME"]), Ports())
    command = [sys.executable, "-m", "deploy.stack", "up"]
    options = {"cwd": REPOSITORY, "env": environment, "stdout": subprocess.PIPE, "text": True}

    first = subprocess.Popen(command, **options)
    wait_until(lambda: find_processes(home), 60, lambda: "nothing starts")
    first.send_signal(signal.SIGINT)
    assert "interrupted" in first.communicate(timeout=60)[0]
    assert first.returncode == 130

    ups = [subprocess.Popen(command, **options) for _ in range(2)]
    outputs = [up.communicate(timeout=400)[0] for up in ups]
    assert [up.returncode for up in ups] == [0, 0], outputs
    assert sum("waiting for it" in output for output in outputs) == 1

    os.kill(int((home.run / "supervisor.pid").read_text()), signal.SIGKILL)
    orphans = find_processes(home)
    assert len(orphans) >= len(PART_NAMES)
    assert "supervisor" in run_stack("status", environment=environment).stdout
    assert run_stack("down", environment=environment).returncode == 0
    assert find_processes(home) == []
    assert [process for process in orphans if process.is_running()] == []
    assert "no stack runs" in run_stack("down", environment=environment).stdout
