"""A real nginx before stand-ins of serving processes that answer, refuse, hang up or are dead."""

import json
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from deploy.front import BODY_MEBIBYTES, front_command, render_configuration, write_front
from deploy.home import Home, Ports
from deploy.processes import find_processes, reap
from include.settings import Settings
from tests.conftest import find_free_port

REPLICAS = ("serving-1", "serving-2")
MEBIBYTE = 1024 * 1024


class Replica(socketserver.ThreadingUnixStreamServer):
    """Answers with its name and the length of the body, or does what it is told to."""

    daemon_threads = True

    def __init__(self, home: Home, name: str, status: int = 200) -> None:
        self.name, self.status, self.asked = name, status, 0
        super().__init__(str(home.find_socket(name)), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def die(self) -> None:
        """Leave a stale socket behind."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.path) + len(self.server.name)))
        self.end_headers()
        self.wfile.write((self.server.name + self.path).encode())

    def do_POST(self) -> None:
        self.server.asked += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        answer = json.dumps({"from": self.server.name, "bytes": len(body)}).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Front:
    """nginx in a home, and what it logs."""

    def __init__(self, home: Home) -> None:
        self.home = home
        write_front(home, REPLICAS)
        self.process = subprocess.Popen(
            front_command(home), cwd=home.front, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", home.ports.serving)) != 0:
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline

    def ask(self, body: bytes = b"image", path: str = "/v1/predict") -> httpx.Response:
        return httpx.post(f"{self.home.serving_url}{path}", content=body, trust_env=False, timeout=20)

    def end(self) -> str:
        """Stop in good order; return what was logged."""
        self.process.send_signal(signal.SIGQUIT)
        return "".join(self.process.communicate(timeout=20))


@pytest.fixture
def start(tmp_path):
    started = []

    def start(folder: str = "home") -> Front:
        home = Home(Settings(home=tmp_path / folder), Ports(serving=find_free_port()))
        home.socket.parent.mkdir(parents=True)
        started.append(Front(home))
        return started[-1]

    yield start
    for front in started:
        front.process.terminate()
        front.process.communicate(timeout=20)
        # Of a folder with a long name it lies elsewhere.
        shutil.rmtree(front.home.socket.parent)


@pytest.mark.parametrize("folder", ["plain", "with space", '100%$a"', "a ;semicolon # {hash}", "x" * 120])
def test_requests_reach_a_replica_in_any_folder(start, folder):
    front = start(folder)
    Replica(front.home, "serving-1")
    assert front.ask().json() == {"from": "serving-1", "bytes": 5}


def test_a_dead_replica_costs_nobody_an_answer_and_is_asked_again_once_it_is_back(start):
    front = start()
    first, second = (Replica(front.home, name) for name in REPLICAS)
    first.die()
    assert {front.ask().json()["from"] for _ in range(6)} == {"serving-2"}
    front.home.find_socket("serving-1").unlink()
    heir = Replica(front.home, "serving-1")
    assert {front.ask().json()["from"] for _ in range(4)} == {"serving-1", "serving-2"}
    assert (first.asked, heir.asked, second.asked) == (0, 2, 8)


def test_a_request_that_a_dying_replica_took_with_it_is_retried_once_whole_and_logged(start):
    front = start()
    dying, living = Replica(front.home, "serving-1", status=0), Replica(front.home, "serving-2")
    body = b"x" * (3 * MEBIBYTE)
    answers = [front.ask(body, path="/v1/predict?key=somebody") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["bytes"] for answer in answers} == {len(body)}
    assert (dying.asked, living.asked) == (1, 2)
    (line,) = front.end().splitlines()
    assert "POST /v1/predict 200" in line
    assert line.count("unix:") == 2
    assert 'got "502, 200"' in line
    assert "somebody" not in line


def test_no_key_of_a_client_is_in_the_log_whatever_fails(start):
    front = start()
    for path in ("/v1/predict?key=somebody", "/v1/predict?key=somebody%22"):
        front.ask(path=path)
    dying = Replica(front.home, "serving-1", status=0)
    front.ask(path="/v1/predict?key=somebody")
    assert dying.asked == 1
    log = front.end()
    assert "POST /v1/predict 503 tried" in log
    assert "somebody" not in log


def test_with_every_replica_dying_the_refusal_has_our_shape_after_two_tries(start):
    front = start()
    replicas = [Replica(front.home, name, status=0) for name in REPLICAS]
    refused = front.ask()
    assert refused.status_code == 503
    assert refused.json().keys() == {"error", "reason", "remedy"}
    assert refused.json()["error"] == "no_replica"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["content-type"] == "application/json"
    assert [replica.asked for replica in replicas] == [1, 1]


def test_no_replica_at_all_is_the_same_refusal_and_the_first_that_comes_answers(start):
    front = start()
    assert front.ask().json()["error"] == "no_replica"
    Replica(front.home, "serving-2")
    assert front.ask().json()["from"] == "serving-2"


def test_one_without_a_release_passes_the_request_on(start):
    front = start()
    empty, full = Replica(front.home, "serving-1", status=503), Replica(front.home, "serving-2")
    assert [front.ask().json()["from"] for _ in range(4)] == ["serving-2"] * 4
    full.status = 503
    refused = front.ask()
    assert refused.status_code == 503
    assert refused.json()["from"] in REPLICAS
    assert empty.asked > 0


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500])
def test_other_refusals_are_final(start, status):
    front = start()
    replicas = [Replica(front.home, name, status=status) for name in REPLICAS]
    assert front.ask().status_code == status
    assert sum(replica.asked for replica in replicas) == 1


def test_a_body_beyond_every_limit_is_refused_in_our_shape_and_reaches_nobody(start):
    front = start()
    replica = Replica(front.home, "serving-1")
    url = httpx.URL(front.home.serving_url)
    with socket.create_connection((url.host, url.port)) as client:
        length = BODY_MEBIBYTES * MEBIBYTE + 1
        client.sendall(f"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
        answer = client.recv(MEBIBYTE).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert json.loads(answer.split("\r\n\r\n")[1])["error"] == "too_large_bytes"
    assert replica.asked == 0


def test_every_replica_is_a_target_of_its_own_for_metrics(start):
    front = start()
    for name in REPLICAS:
        Replica(front.home, name)
    found = [httpx.get(f"{front.home.serving_url}/replicas/{name}/metrics", trust_env=False) for name in REPLICAS]
    assert [answer.text for answer in found] == [f"{name}/metrics" for name in REPLICAS]
    refused = httpx.get(f"{front.home.serving_url}/metrics", trust_env=False)
    assert refused.status_code == 404
    assert "/replicas/serving-1/metrics" in refused.json()["remedy"]


def test_what_a_killed_front_leaves_behind_is_found_and_ended(start):
    front = start()
    workers = [process.pid for process in find_processes(front.home, "front") if process.pid != front.process.pid]
    assert len(workers) == 1
    front.process.kill()
    front.process.wait(10)
    assert [process.pid for process in find_processes(front.home, "front")] == workers
    assert find_processes(front.home, "postgres") == []
    assert reap(front.home, "front") == 1
    assert socket.socket().connect_ex(("127.0.0.1", front.home.ports.serving)) != 0


def test_the_configuration_names_every_replica_and_listens_on_the_loopback_address_only(home):
    text = render_configuration(home, ("serving-1", "serving-2", "serving-3"))
    assert all(str(home.find_socket(f"serving-{number}")) in text for number in (1, 2, 3))
    assert [line.split()[1] for line in text.splitlines() if line.strip().startswith("listen ")] == ["127.0.0.1:8090"]
