"""A real HTTP server that answers as it is asked to, and clients and files for it."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from include.data.sources import web
from include.data.sources.web import Web, is_public


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.path, self.headers["Host"]))
        path, _, argument = self.path[1:].partition("?")
        getattr(self, f"_{path.split('.')[0]}")(argument)

    def _answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _file(self, argument):
        self._answer(200, argument.encode() * 10)

    def _status(self, argument):
        self._answer(int(argument[:3]))

    def _zeros(self, argument):
        self._answer(200, bytes(int(argument)))

    def _clip(self, _):
        self._answer(200, self.server.clip)

    def _redirect(self, argument):
        self._answer(302, Location=argument)

    def _flaky(self, argument):
        self._answer(200, b"at last") if len(self.server.requests) > int(argument) else self._answer(503)

    def _endless(self, _):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"400\r\n" + bytes(1024) + b"\r\n")
        except OSError:
            self.close_connection = True

    def _drip(self, _):
        try:
            while not self.server.stopped.wait(0.02):
                self.wfile.write(b"H")
        except OSError:
            self.close_connection = True

    def _cut(self, _):
        self._answer(200, b"half", Content_Length=8)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.requests, server.stopped = [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def loopback(monkeypatch):
    """A client that may do what no other may: fetch from this machine."""
    monkeypatch.setattr(web, "PAUSES", (0.01, 0.01))
    return Web(permit=lambda address: address.is_loopback or is_public(address))


@pytest.fixture(scope="session")
def make_clip():
    """Write a video of grey frames, each brighter than the one before."""
    import av

    def make(path, frames=30, rate=10, size=(64, 48), codec="mpeg4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height = size
            for number in range(frames):
                grey = np.full((size[1], size[0], 3), number * 255 // frames, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(stream.encode())
        return path

    return make


@pytest.fixture(scope="session")
def make_image():
    """Encode an image of one grey as PNG."""

    def make(grey=0):
        data = io.BytesIO()
        Image.fromarray(np.full((16, 16, 3), grey, np.uint8)).save(data, "PNG")
        return data.getvalue()

    return make
