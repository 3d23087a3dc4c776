import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from benchmarks.open_loop import OpenLoop, Question, find_percentile

BODY = {"request_id": "id", "release": "r", "confidence": 0.5, "variant": "champion", "answered_by": "champion"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        image = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((image, self.headers["authorization"]))
        self.server.go_on.wait(20)
        body = json.dumps(BODY | self.server.changes).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.seen, server.status, server.changes, server.go_on = [], 200, {}, threading.Event()
    server.go_on.set()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def load(server):
    return OpenLoop(Question(f"http://127.0.0.1:{server.server_port}", b"image", "token"), rate=40)


def wait_for(server, count):
    deadline = time.monotonic() + 30
    while len(server.seen) < count:
        assert time.monotonic() < deadline, f"{len(server.seen)} requests came"
        time.sleep(0.01)


def test_a_stall_holds_up_no_request_and_is_felt_by_each_that_was_due_meanwhile(server):
    server.go_on.clear()
    with load(server) as running:
        wait_for(server, 40)
        stalled = time.monotonic()
        server.go_on.set()
        wait_for(server, 60)
    assert set(server.seen) == {(b"image", "Bearer token")}
    dues = [answer.due for answer in running.answers]
    assert [later - earlier for earlier, later in pairwise(dues)] == pytest.approx([1 / 40] * (len(dues) - 1))
    waited = [answer for answer in running.answers if answer.due < stalled]
    assert len(waited) >= 40
    assert all(answer.ended >= stalled for answer in waited)
    assert find_percentile(running.answers, 100) >= 39 / 40 * 1000 * 0.9
    assert [answer.failure for answer in running.answers if answer.failure] == []


@pytest.mark.parametrize(
    ("status", "changes", "failure"),
    [(503, {}, "503"), (429, {}, "429"), (200, {"answered_by": "previous"}, "answered by previous")],
)
def test_whatever_is_no_answer_of_the_release_is_a_failure(server, status, changes, failure):
    server.status, server.changes = status, changes
    with load(server) as running:
        wait_for(server, 3)
    assert all(answer.failure.startswith(failure) for answer in running.answers)


def test_nobody_there_is_a_failure_too():
    with OpenLoop(Question("http://127.0.0.1:1", b"image", ""), rate=40) as running:
        pass
    assert running.answers
    assert all("ConnectError" in answer.failure for answer in running.answers)
