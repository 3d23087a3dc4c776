"""What the client counts, and what it sends; the servers themselves take too long to start for a test."""

import asyncio
import base64
import json

import pytest
from python_multipart.multipart import FormParser

from benchmarks.serving_throughput import (
    BOUNDARY,
    FORM,
    FORM_TYPE,
    Throughput,
    build_requests,
    saturate,
    write_forms,
    write_json,
)

GOOD, BAD = b'{"probabilities": {}}', b'{"answers": [{"probabilities": {}}, {"error": "overloaded"}]}'


def ask(requests, answer):
    """Ask a server that answers every request alike, its answers in pieces."""
    seen = []

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                seen.append(await reader.readexactly(length))
                writer.write(answer[:30])
                await writer.drain()
                writer.write(answer[30:])
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await saturate(server.sockets[0].getsockname()[1], requests, 3, 0.2)

    return (*asyncio.run(run()), seen)


@pytest.mark.parametrize(
    ("status", "body", "fails"),
    [("200 OK", GOOD, False), ("200 OK", BAD, True), ("429 Too Many Requests", BAD, True), ("200 OK", b"{}", True)],
)
def test_only_answers_count(status, body, fails):
    answer = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    rate, failed, seen = ask(build_requests("/v1/predict", "image/jpeg", [b"one", b"two"]), answer)
    assert (failed > 0, rate == 0) == (fails, fails)
    assert set(seen) == {b"one", b"two"}


def test_a_form_holds_sixteen_files():
    files = [bytes([65 + i]) * 5 for i in range(2 * FORM)]
    found = []
    for form in write_forms(files):
        parser = FormParser("multipart/form-data", None, found.append, boundary=BOUNDARY)
        parser.write(form)
        parser.finalize()
    assert len(write_forms(files)) == 2
    assert [file.file_object.getvalue() for file in found] == files
    assert {file.field_name for file in found} == {b"images"}
    assert BOUNDARY in FORM_TYPE


def test_mlflow_is_sent_base64():
    (body,) = write_json([b"jpeg"])
    assert base64.b64decode(json.loads(body)["inputs"][0]) == b"jpeg"


def test_the_ratios_are_those_of_a_usual_round():
    rates = {"bare": [1000, 500, 9], "single": [700, 350, 1], "form": [900, 450, 9], "mlflow": [300, 175, 9]}
    found = Throughput("small_cnn", {**rates, "torch": [70, 35, 9]}, failed=0)
    assert (found.share_of_bare, found.compare("single", "mlflow")) == (0.9, 2.0)
    assert "2.00, 10.00 (goal 2) | 0.90 (goal 0.8) | 0 |" in found.describe()
