import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from examples.camera import ARRIVAL_SPECIMENS, CLEAN_LENS, deliver_day
from tests.integration.containers.compose_project import ComposeProject, run

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400)]

ONE_SHOTS = {"migrate", "settings"}
FRONT_PORTS = {("api-server", "8080/tcp"), ("mlflow", "5500/tcp"), ("serving", "8090/tcp")}
DAY = date(2026, 11, 1)
LOOP_SECONDS = 900
READING_SECONDS = 20
LOOP = ("ingest_images", "train_model", "promote_model", "deploy_model")


@pytest.fixture(scope="module")
def airflow(compose: ComposeProject) -> Iterator[httpx.Client]:
    client = compose.sign_in()
    yield client
    client.close()


def test_every_part_is_healthy_and_every_step_done(compose: ComposeProject):
    containers = compose.inspect()
    states = {
        service: "done" if service in ONE_SHOTS and _is_done(container) else container["State"]["Health"]["Status"]
        for service, container in containers.items()
    }
    assert len(states) == 12
    assert set(states.values()) == {"healthy", "done"}, states


def test_only_the_front_ports_are_published_and_only_on_the_loopback(compose: ComposeProject):
    published = {
        (service, port): {binding["HostIp"] for binding in bindings}
        for service, container in compose.inspect().items()
        for port, bindings in container["NetworkSettings"]["Ports"].items()
        if bindings
    }
    assert published == {front: {"127.0.0.1"} for front in FRONT_PORTS}


def test_mlflow_and_serving_answer_people(compose: ComposeProject):
    mlflow, serving = compose.url("mlflow", 5500), compose.url("serving", 8090)
    assert httpx.get(f"{mlflow}/health", trust_env=False).status_code == 200
    search = httpx.post(f"{mlflow}/api/2.0/mlflow/experiments/search", json={"max_results": 1}, trust_env=False)
    assert search.status_code == 200, search.text
    assert httpx.get(f"{serving}/healthz", trust_env=False).status_code == 200
    assert httpx.get(f"{serving}/v1/release", trust_env=False).status_code == 401


def test_mlflow_refuses_a_foreign_host_name(compose: ComposeProject):
    url = f"{compose.url('mlflow', 5500)}/api/2.0/mlflow/experiments/search"
    answer = httpx.post(url, json={"max_results": 1}, headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 403


def test_nothing_runs_as_root_or_could_become_it(compose: ComposeProject):
    for service in set(compose.inspect()) - ONE_SHOTS:
        lines = compose.ask("exec", "--no-TTY", service, "cat", "/proc/1/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert "0" not in status["Uid"].split(), service
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, service
        assert status["NoNewPrivs"] == "1", service


def test_no_secret_shows_in_the_engine_or_in_a_log(compose: ComposeProject):
    images = compose.ask("images", "--quiet").split()
    shown = [
        run(["docker", "inspect", *compose.ask("ps", "--all", "--quiet").split(), *images], compose.environment).stdout,
        *(run(["docker", "history", "--no-trunc", image], compose.environment).stdout for image in images),
        compose.ask("config"),
        compose.ask("logs", "--no-color"),
    ]
    assert all(shown)
    for secret in compose.secrets.iterdir():
        assert not any(secret.read_text() in text for text in shown), secret.name


def test_a_wrong_password_opens_nothing(compose: ComposeProject, airflow: httpx.Client):
    url = compose.url("api-server", 8080)
    login = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{url}/auth/token", json=login, trust_env=False).status_code == 401
    assert httpx.get(f"{url}/api/v2/dags", trust_env=False).status_code == 401
    assert airflow.get("/api/v2/dags").status_code == 200


def test_one_databases_role_has_no_way_into_another(compose: ComposeProject):
    attempt = (
        "import psycopg2; password = open('/run/secrets/windhover_database_password').read();"
        "psycopg2.connect(host='postgres', dbname={!r}, user='windhover', password=password)"
    )
    assert compose.run("exec", "--no-TTY", "serving", "python", "-c", attempt.format("windhover")).returncode == 0
    refused = compose.run("exec", "--no-TTY", "serving", "python", "-c", attempt.format("airflow"))
    assert refused.returncode == 1
    assert "permission denied for database" in refused.stderr


def test_the_databases_have_no_way_out(compose: ComposeProject):
    networks = {service: set(c["NetworkSettings"]["Networks"]) for service, c in compose.inspect().items()}
    assert networks["postgres"] == networks["redis"] == {f"{compose.name}_data"}
    described = run(
        ["docker", "network", "inspect", "--format", "{{.Internal}}", f"{compose.name}_data"], compose.environment
    )
    assert described.stdout.strip() == "true"


def test_the_settings_are_applied(airflow: httpx.Client):
    pool = airflow.get("/api/v2/pools/training").raise_for_status().json()
    connection = airflow.get("/api/v2/connections/windhover_ledger").raise_for_status().json()
    assert pool["slots"] == 1
    assert (connection["host"], connection["login"], connection["password"]) == ("postgres", "windhover", "***")
    assert airflow.get("/api/v2/importErrors").json()["import_errors"] == []


def test_serving_carries_no_torch_and_airflow_all_stages(compose: ComposeProject):
    absent = "import importlib.util, include.serving.app; assert not importlib.util.find_spec('torch')"
    compose.ask("exec", "--no-TTY", "serving", "python", "-c", absent)
    present = "import torch, torchvision, lance, onnx, onnxruntime, mlflow, evidently, great_expectations"
    compose.ask("exec", "--no-TTY", "worker", "python", "-c", present)


def test_a_delivery_becomes_a_served_model_on_the_celery_worker(compose: ComposeProject, airflow: httpx.Client):
    deliver_day(compose.landing, DAY, ARRIVAL_SPECIMENS[:400], lens=CLEAN_LENS, labelled=True)
    for name in LOOP:
        airflow.patch(f"/api/v2/dags/digits.{name}", json={"is_paused": False}).raise_for_status()
    body = {"logical_date": None, "partition_key": DAY.isoformat()}
    airflow.post("/api/v2/dags/digits.ingest_images/dagRuns", json=body).raise_for_status()

    _wait_for(lambda: _approve(airflow) or _is_loop_closed(airflow), LOOP_SECONDS)

    worker = compose.inspect()["worker"]["Config"]["Hostname"]
    ran = [task for task in _list_tasks(airflow) if task["state"] == "success"]
    assert {task["hostname"] for task in ran} == {worker}
    assert {"publish_dataset", "train_candidate", "register_model", "package_model"} <= {
        task["task_id"] for task in ran
    }
    live = _read_live_release(compose)
    image = next((compose.landing / "digits" / DAY.isoformat() / "images").iterdir()).read_bytes()
    address = f"{compose.url('serving', 8090)}/v1/predict"
    answer = httpx.post(address, content=image, headers=compose.authorize(), timeout=60, trust_env=False)
    assert answer.raise_for_status().json()["release"] == live


def test_a_tasks_log_can_be_read_in_the_web_ui(airflow: httpx.Client):
    runs = airflow.get("/api/v2/dags/digits.train_model/dagRuns").json()["dag_runs"]
    log = _read_log(airflow, runs[0] | {"task_id": "train_candidate", "try_number": 1})
    assert "attempt=1.log" in log
    assert "Could not read" not in log


def test_a_second_up_changes_nothing(compose: ComposeProject):
    before, live = _identify(compose), _read_live_release(compose)
    compose.up()
    assert _identify(compose) == before
    assert _read_live_release(compose) == live


def test_a_killed_part_comes_back_with_what_it_served(compose: ComposeProject):
    live = _read_live_release(compose)
    # The engine takes `docker kill` for a wish and restarts nothing; every process but the init dies here.
    compose.run("exec", "--no-TTY", "serving", "python", "-c", f"import os; os.kill(-1, {int(signal.SIGKILL)})")

    def is_back() -> bool:
        serving = compose.inspect()["serving"]
        return serving["RestartCount"] == 1 and serving["State"]["Health"]["Status"] == "healthy"

    _wait_for(is_back, 120)
    assert _read_live_release(compose) == live


def test_a_missing_secret_stops_the_start_and_is_named(make_project: Callable[[], ComposeProject]):
    project = make_project()
    (project.secrets / "redis_password").unlink()
    done = project.run("up", "--detach", "redis")
    assert done.returncode != 0
    assert str(project.secrets / "redis_password") in done.stderr


def test_an_empty_secret_stops_the_part_and_says_what_to_do(make_project: Callable[[], ComposeProject]):
    project = make_project()
    secret = project.secrets / "mlflow_database_password"
    secret.unlink()
    secret.touch()
    done = project.run("run", "--rm", "--no-TTY", "--no-deps", "mlflow", "mlflow", "--version")
    assert done.returncode == 1
    assert "secret /run/secrets/mlflow_database_password is empty" in done.stderr
    assert "make compose-secrets" in done.stderr


def _is_done(container: dict[str, Any]) -> bool:
    return (container["State"]["Status"], container["State"]["ExitCode"]) == ("exited", 0)


def _approve(airflow: httpx.Client) -> None:
    """Answer what asks for a person, as the project's first release does."""
    for task in _list_tasks(airflow):
        # Answered before the scheduler saw the asking process end, a task is taken for lost.
        if task["state"] == "awaiting_input" and _age(task) > READING_SECONDS:
            run = f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"
            answer = {"chosen_options": ["Approve"], "params_input": {"reason": "the evidence was read"}}
            path = f"{run}/taskInstances/{task['task_id']}/-1/hitlDetails"
            assert airflow.patch(path, json=answer).status_code in {200, 409}


def _age(task: dict[str, Any]) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(task["start_date"])).total_seconds()


def _is_loop_closed(airflow: httpx.Client) -> bool:
    runs = [run for name in LOOP for run in _list_runs(airflow, name)]
    failed = [task for task in _list_tasks(airflow) if task["state"] in {"failed", "upstream_failed"}]
    assert not failed, "\n".join(_read_log(airflow, task) for task in failed)
    return any(run["dag_id"] == "digits.deploy_model" and run["state"] == "success" for run in runs)


def _list_runs(airflow: httpx.Client, name: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = (
        airflow.get(f"/api/v2/dags/digits.{name}/dagRuns").raise_for_status().json()["dag_runs"]
    )
    return runs


def _list_tasks(airflow: httpx.Client) -> list[dict[str, Any]]:
    answer = airflow.get("/api/v2/dags/~/dagRuns/~/taskInstances", params={"limit": 100}).raise_for_status()
    tasks: list[dict[str, Any]] = answer.json()["task_instances"]
    return tasks


def _read_log(airflow: httpx.Client, task: dict[str, Any]) -> str:
    run = f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"
    return airflow.get(f"{run}/taskInstances/{task['task_id']}/logs/{task['try_number']}").raise_for_status().text


def _identify(compose: ComposeProject) -> dict[str, tuple[str, str]]:
    containers = compose.inspect().items()
    return {service: (c["Id"], c["State"]["StartedAt"]) for service, c in containers if service not in ONE_SHOTS}


def _read_live_release(compose: ComposeProject) -> str:
    address = f"{compose.url('serving', 8090)}/v1/release"
    answer = httpx.get(address, headers=compose.authorize(), timeout=60, trust_env=False)
    live = answer.raise_for_status().json()["projects"]["digits"]["live"]
    assert live
    return str(live)


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(1)
