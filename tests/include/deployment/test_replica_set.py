import socketserver
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from docker.models.containers import Container

from include.deployment.docker_home import DockerHome
from include.deployment.replica_set import ReplicaSet, is_ready, wait_until_ready
from include.settings import Settings

IDLE = (503, b'{"error": "no_release"}')
READY = (200, b"{}")


@pytest.fixture
def home(tmp_path):
    """A home whose sockets have longer paths than the kernel takes."""
    home = DockerHome(Settings(home=tmp_path / ("deep" * 30)), "")
    home.sockets.mkdir(parents=True)
    return home


@pytest.fixture
def replica(home, monkeypatch):
    """Give a function that puts a process on a socket that answers so, and gives its container."""
    servers = []

    def make(name: str, status: int, body: bytes, state: str = "running") -> Container:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self) -> str:
                return "a socket"

        with monkeypatch.context() as there:
            there.chdir(home.sockets)
            servers.append(socketserver.ThreadingUnixStreamServer(f"{name}.sock", Handler))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return Container(attrs={"Id": name, "Name": f"/{name}", "State": {"Status": state}})

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def gather(*containers: Container, wanted: int = 2) -> ReplicaSet:
    return ReplicaSet(slot="a", release="sha256:1", generation=1, wanted=wanted, containers=containers)


def test_a_set_is_ready_once_every_process_is(home, replica):
    first, second = replica("a-1", *READY), replica("a-2", *READY)
    assert is_ready(home, gather(first, second))
    assert not is_ready(home, gather(first, replica("a-3", *IDLE)))
    wait_until_ready(home, gather(first, second), may_idle=False)


def test_a_set_that_lacks_a_container_or_has_a_stopped_one_is_not_whole(home, replica):
    first, stopped = replica("a-1", *READY), replica("a-2", *READY, "exited")
    assert not is_ready(home, gather(first))
    assert not gather(first, stopped).is_whole
    assert gather(first, replica("a-3", *READY)).is_whole


def test_before_the_first_release_a_process_may_have_nothing_to_answer_with(home, replica):
    wait_until_ready(home, gather(replica("a-1", *IDLE), replica("a-2", *IDLE)), may_idle=True)
