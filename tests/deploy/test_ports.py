import os
import socket

import pytest

from deploy.errors import StackError
from deploy.home import Home, Ports
from deploy.ports import check_ports
from include.settings import Settings


def take_port():
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def home_on(**ports):
    return Home(Settings(home="/nowhere"), Ports(**ports))


def free_ports():
    probes = [take_port() for _ in Ports.model_fields]
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return dict(zip(Ports.model_fields, numbers, strict=True))


def test_free_ports_pass():
    check_ports(home_on(**free_ports()))


def test_the_serving_port_may_be_held_by_the_front_of_containers_that_outlived_the_stack():
    with take_port() as taken:
        ports = Ports(**free_ports() | {"serving": taken.getsockname()[1]})
        check_ports(Home(Settings(home="/nowhere"), ports, replicas=0))


def test_a_taken_port_names_port_part_holder_and_variable():
    with take_port() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError) as refused:
            check_ports(home_on(**free_ports() | {"serving": port}))
    message = str(refused.value)
    assert f"port {port} for serving is taken by" in message
    assert f"(pid {os.getpid()})" in message
    assert "set WINDHOVER_SERVING_PORT" in message


def test_every_taken_port_is_named_at_once():
    with take_port() as one, take_port() as two:
        chosen = free_ports() | {"serving": one.getsockname()[1], "mlflow": two.getsockname()[1]}
        with pytest.raises(StackError, match=r"mlflow is taken.*serving is taken"):
            check_ports(home_on(**chosen))


def test_one_port_for_two_parts_is_refused():
    ports = free_ports()
    with pytest.raises(StackError, match="two parts share a port"):
        check_ports(home_on(**ports | {"mlflow": ports["airflow"]}))
