import json
import socket

import pytest
import sqlalchemy as sa

from deploy.errors import StackError
from deploy.home import LONGEST_SOCKET_PATH, Home, Ports, open_home
from deploy.parts import shared_environment
from include.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for part in ("AIRFLOW", "MLFLOW", "SERVING", "POSTGRES"):
        monkeypatch.delenv(f"WINDHOVER_{part}_PORT", raising=False)
    for name in ("SERVING_REPLICAS", "TARGET"):
        monkeypatch.delenv(f"WINDHOVER_{name}", raising=False)
    monkeypatch.setenv("WINDHOVER_HOME", str(tmp_path))


def test_ports_come_from_the_environment_then_the_last_start_then_the_defaults(monkeypatch):
    monkeypatch.setenv("WINDHOVER_MLFLOW_PORT", "5501")
    open_home().remember_choices()
    monkeypatch.delenv("WINDHOVER_MLFLOW_PORT")
    assert open_home().ports == Ports(mlflow=5501)
    monkeypatch.setenv("WINDHOVER_MLFLOW_PORT", "5502")
    assert open_home().ports == Ports(mlflow=5502)


def test_the_number_of_replicas_is_the_running_stacks_else_the_environments(monkeypatch):
    assert open_home().replicas == 2
    monkeypatch.setenv("WINDHOVER_SERVING_REPLICAS", "3")
    home = open_home()
    assert home.replicas == 3
    home.remember_choices()
    monkeypatch.setenv("WINDHOVER_SERVING_REPLICAS", "4")
    assert open_home().replicas == 4
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.bind(str(home.socket))
        supervisor.listen()
        assert open_home().replicas == 3
        monkeypatch.delenv("WINDHOVER_SERVING_REPLICAS")
        assert open_home().replicas == 3


def test_where_containers_serve_the_stack_has_no_serving_processes_of_its_own(monkeypatch):
    monkeypatch.setenv("WINDHOVER_TARGET", "docker")
    monkeypatch.setenv("WINDHOVER_SERVING_REPLICAS", "3")
    home = open_home()
    assert home.replicas == 0
    # Who deploys has to know it, and how many processes a set of containers is to have.
    assert home.locations()["WINDHOVER_TARGET"] == "docker"
    assert home.locations()["WINDHOVER_SERVING_REPLICAS"] == "3"
    home.remember_choices()
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.bind(str(home.socket))
        supervisor.listen()
        monkeypatch.delenv("WINDHOVER_TARGET")
        assert open_home().replicas == 0


@pytest.mark.parametrize("value", ["0", "17", "two"])
def test_an_impossible_number_of_replicas_names_its_variable(monkeypatch, value):
    monkeypatch.setenv("WINDHOVER_SERVING_REPLICAS", value)
    with pytest.raises(StackError, match="WINDHOVER_SERVING_REPLICAS"):
        open_home()


@pytest.mark.parametrize("value", ["0", "65536", "http"])
def test_an_impossible_port_names_its_variable(monkeypatch, value):
    monkeypatch.setenv("WINDHOVER_SERVING_PORT", value)
    with pytest.raises(StackError, match="WINDHOVER_SERVING_PORT"):
        open_home()


def test_a_broken_port_file_says_what_to_do(tmp_path):
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(StackError, match="delete it"):
        open_home()


def test_a_long_home_gets_a_short_socket(tmp_path):
    deep = Home(Settings(home=tmp_path / ("x" * 120)), Ports())
    other = Home(Settings(home=tmp_path / ("y" * 120)), Ports())
    assert len(str(deep.socket)) <= LONGEST_SOCKET_PATH
    assert len(str(deep.find_socket("serving-16"))) <= LONGEST_SOCKET_PATH + len("serving-16") - len("supervisor")
    assert deep.socket != other.socket
    assert Home(Settings(home="/h"), Ports()).socket.is_relative_to("/h")


def test_the_database_url_survives_odd_folders_and_holds_no_password():
    home = Home(Settings(home="/srv/a b%c&d"), Ports())
    url = sa.make_url(home.database_url("mlflow"))
    assert url.query["passfile"] == str(home.passwords)
    assert url.password is None
    assert (url.host, url.port, url.database) == ("127.0.0.1", 5480, "mlflow")


def test_every_location_the_library_reads_is_exported(tmp_path, monkeypatch):
    for name, value in open_home().locations().items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.home == tmp_path
    assert settings.store_uri == str(tmp_path / "store")
    assert settings.mlflow_uri == "http://127.0.0.1:5500"
    assert json.loads(json.dumps(open_home().locations())).keys() >= {"WINDHOVER_LANDING", "WINDHOVER_PROJECTS"}


def test_addresses_for_people_reach_every_part_of_the_stack(monkeypatch):
    public = {f"WINDHOVER_{part}_PUBLIC": f"https://{part}.example" for part in ("MLFLOW", "SERVING", "AIRFLOW")}
    for name, value in public.items():
        monkeypatch.setenv(name, value)
    # Of the machine's own variables of this kind nothing else is handed on.
    assert public.items() <= shared_environment(open_home()).items()
