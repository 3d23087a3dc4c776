"""A real server on a Unix socket that refuses before it has read the body, and a client that sends all of it."""

import asyncio
import socket
import threading
from http.client import HTTPConnection

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from include.serving.draining import KeptConnections

BODY = b"x" * 20_000_000


async def refuse(scope, receive, send):
    await PlainTextResponse("too large", 413, {"Connection": "close"})(scope, receive, send)


class UnixConnection(HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


@pytest.fixture
def serve(tmp_path):
    """Start servers that end with the test; give a connection to each."""
    running = []

    def start(app):
        place = tmp_path / f"{len(running)}.sock"
        server = uvicorn.Server(uvicorn.Config(app, uds=str(place), lifespan="off", log_level="error"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
        return UnixConnection(str(place))

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()


def test_a_refused_body_is_read_to_its_end_and_the_next_request_answered_on_the_same_connection(serve):
    connection = serve(KeptConnections(refuse))
    for _ in range(3):
        connection.request("POST", "/", BODY)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (413, b"too large")
        assert answer.headers["connection"] is None
    connection.close()


def test_without_it_the_server_hangs_up_in_the_middle(serve):
    connection = serve(refuse)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.request("POST", "/", BODY)
    connection.close()
