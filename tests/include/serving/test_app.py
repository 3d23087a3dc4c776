"""The endpoints, in this process; processes of their own are tested in test_main.py."""

import contextlib
import io
import socket
import struct
import zlib

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from include.serving.app import create_app


@pytest.fixture
def client(settings, make_release, want):
    want(make_release(7))
    with TestClient(create_app(settings)) as client:
        client.app.state.service.plan.reconcile()
        yield client


def bomb() -> bytes:
    """20 kB of PNG that decode to more than 400 MB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 12_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(20_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "GIF")
    return buffer.getvalue()


def test_answers_an_image(client, png):
    answer = client.post("/v1/predict?project=digits", content=png)
    assert answer.status_code == 200
    found = answer.json()
    assert found["predicted"] == "7"
    assert found["confidence"] == found["probabilities"]["7"] == max(found["probabilities"].values())
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["request_id"].startswith("digits-")
    assert found["release"] == client.get("/v1/release").json()["projects"]["digits"]["live"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        pytest.param(b"", 400, "empty", id="empty"),
        pytest.param(bomb(), 413, "too_many_pixels", id="bomb"),
        pytest.param(b"hello, world", 422, "not_an_image", id="text"),
        pytest.param(gif(), 415, "format_not_allowed", id="gif"),
        pytest.param(b"\x89PNG\r\n\x1a\n", 422, "not_an_image", id="signature-only"),
        pytest.param(bytes(100_001), 413, "too_large_bytes", id="too-large"),
    ],
)
def test_refuses_what_is_no_image_and_records_nothing(client, spill, body, status, error):
    refusal = client.post("/v1/predict", content=body)
    assert refusal.status_code == status
    assert refusal.json()["error"] == error
    assert refusal.json()["reason"]
    assert refusal.json()["remedy"]
    assert spill() == []


def test_refuses_a_truncated_image(client, png):
    refusal = client.post("/v1/predict", content=png[:-20])
    assert refusal.status_code == 422
    assert refusal.json()["error"] in {"truncated", "not_an_image"}


def test_every_refusal_leaves_the_service_answering(client, png):
    for body in (b"", bomb(), gif(), png[:40]):
        assert 400 <= client.post("/v1/predict", content=body).status_code < 500
    assert client.post("/v1/predict", content=png).status_code == 200


def test_an_oversize_body_is_refused_without_reading_it(serve, make_release, want, wait_until):
    want(make_release())
    serving = serve()
    wait_until(lambda: serving.state().get("live"), "a live release")
    host, port = serving.uri.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nPNG")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
    sent = []

    def endless():
        while len(sent) < 2000:
            sent.append(1)
            yield bytes(10_000)

    # The connection may be cut before the client has read why.
    with contextlib.suppress(httpx.HTTPError):
        assert httpx.post(f"{serving.uri}/v1/predict", content=endless()).status_code == 413
    assert len(sent) < 2000


def test_unknown_project_and_project_without_release(client, png):
    unknown = client.post("/v1/predict?project=../x", content=png)
    assert unknown.status_code == 404
    assert "digits" in unknown.json()["remedy"]


def test_no_release_yet_is_said(settings, ledger, png):
    with TestClient(create_app(settings)) as client:
        refusal = client.post("/v1/predict?project=digits", content=png)
        assert refusal.status_code == 503
        assert "no release in service yet" in refusal.json()["reason"]
        assert "digits.deploy_model" in refusal.json()["remedy"]
        assert client.get("/readyz").status_code == 503
        assert "No project has a release yet" in client.get("/").text


def test_a_project_must_be_named_once_there_are_two(client, make_release, want, png):
    want(make_release(2, name="defects"))
    client.app.state.service.plan.reconcile()
    assert client.post("/v1/predict", content=png).status_code == 400
    answer = client.post("/v1/predict?project=defects", content=png).json()
    assert (answer["project"], answer["predicted"]) == ("defects", "2")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"request_id": "x", "label": "3"}, "bad_request_id"),
        ({"request_id": "digits-" + "0" * 32, "label": "cat"}, "unknown_label"),
        ({"request_id": "digits-" + "0" * 32}, "bad_request"),
        ({"request_id": "digits-" + "0" * 32, "label": "3", "extra": 1}, "bad_request"),
    ],
)
def test_impossible_feedback_is_refused(client, spill, body, error):
    refusal = client.post("/v1/feedback", json=body)
    assert refusal.status_code == 422
    assert refusal.json()["error"] == error
    assert spill() == []


def test_an_answer_that_cannot_be_recorded_is_not_given(client, png, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(client.app.state.service.recorder, "append", fail)
    refusal = client.post("/v1/predict", content=png)
    assert refusal.status_code == 503
    assert "no space left" in refusal.json()["reason"]


def test_people_and_programs_find_their_way(client):
    assert client.get("/readyz").json() == {"status": "ready", "projects": ["digits"]}
    page = client.get("/").text
    assert "as wanted" in page
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/predict", "/v1/feedback", "/v1/release", "/healthz", "/readyz"} == set(paths)
    assert all(method["summary"] for path in paths.values() for method in path.values())
