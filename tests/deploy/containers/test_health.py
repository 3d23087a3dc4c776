import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.containers import health


class _Answer(BaseHTTPRequestHandler):
    status = 200
    body = b""

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[type[_Answer]]:
    """An HTTP server in the place of every part, whose answer a test sets."""
    answer = type("Answer", (_Answer,), {})
    with HTTPServer(("127.0.0.1", 0), answer) as http:
        url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setattr(health, "URLS", dict.fromkeys(health.URLS, url))
        monkeypatch.setattr(health, "HEARTBEATS_URL", url)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answer
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("part", ["api-server", "scheduler", "mlflow", "serving"])
def test_a_part_that_answers_is_healthy_and_one_that_refuses_is_not(server, part):
    assert health.check_health(part) == ""
    server.status = 503
    assert health.check_health(part).startswith(f"{part} does not answer: HTTP Error 503")


def test_a_part_nobody_listens_for_is_not_healthy(monkeypatch):
    monkeypatch.setattr(health, "URLS", {"mlflow": "http://127.0.0.1:1"})
    assert "refused" in health.check_health("mlflow")


@pytest.mark.parametrize("part", ["dag-processor", "triggerer"])
def test_a_part_without_an_address_is_as_healthy_as_its_heartbeat(server, part):
    name = part.replace("-", "_")
    for status, reason in (("healthy", ""), ("unhealthy", f"{part} is unhealthy"), (None, f"{part} is None")):
        server.body = json.dumps({name: {"status": status}}).encode()
        assert health.check_health(part) == reason


def test_the_watcher_is_healthy_while_it_looks(monkeypatch, tmp_path):
    monkeypatch.setattr(health, "BEAT", tmp_path / "beat")
    assert health.check_health("watcher") == "watcher has not looked yet"
    health.BEAT.write_text("")
    assert health.check_health("watcher") == ""
    long_ago = time.time() - 300
    os.utime(health.BEAT, (long_ago, long_ago))
    assert health.check_health("watcher") == "watcher has not looked for 300 s"
