"""Images asked about over HTTP, in every wrapping."""

import base64
import contextlib
import io
import socket
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

import include.serving.recorder as recorder_module


@pytest.fixture(autouse=True)
def unpublished(monkeypatch):
    """Rows stay where a test can read them."""
    monkeypatch.setattr(recorder_module, "PUBLISH_SECONDS", 600)


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
    assert (found["variant"], found["answered_by"], found["model_version"]) == ("champion", "champion", 7)
    live = client.get("/v1/release").json()["projects"]["digits"]
    assert (found["release"], found["revision"]) == (live["live"], live["revision"])


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def shade(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_image_is_answered_the_same_in_every_wrapping(client, png):
    wrapped = (
        client.post("/v1/predict", content=png),
        client.post("/v1/predict", content=png, headers={"content-type": "application/x-www-form-urlencoded"}),
        client.post("/v1/predict", files={"image": ("a.png", png, "image/png")}),
        client.post("/v1/predict", json={"image": encode(png)}),
    )
    found = [answer.json()["probabilities"] for answer in wrapped]
    assert found == found[:1] * 4


@pytest.mark.parametrize("wrapping", ["form", "json"])
def test_several_images_are_answered_in_their_order_each_by_itself(client, spill, wrapping):
    files = [shade(10), b"no image", shade(200), bomb(), b""]
    if wrapping == "form":
        answer = client.post(
            "/v1/predict", files=[("images", (f"{place}.png", data)) for place, data in enumerate(files)]
        )
    else:
        answer = client.post("/v1/predict", json={"images": [encode(data) for data in files]})
    assert answer.status_code == 200
    found = answer.json()["answers"]
    alone = [client.post("/v1/predict", content=data).json() for data in files]
    assert [one.get("probabilities") for one in found] == [one.get("probabilities") for one in alone]
    assert [one.get("error") for one in found] == [None, "not_an_image", None, "too_many_pixels", "empty"]
    assert found[0]["probabilities"] != found[2]["probabilities"]
    recorded = {row["request_id"] for row in spill()}
    assert {found[0]["request_id"], found[2]["request_id"]} <= recorded
    assert len(recorded) == 4


def test_base64_that_is_none_is_refused(client):
    refusal = client.post("/v1/predict", json={"image": "%%%"})
    assert (refusal.status_code, refusal.json()["error"]) == (422, "not_base64")


@pytest.mark.parametrize("told", [{"params": {"key": "me"}}, {"headers": {"X-Windhover-Key": "me"}}])
def test_a_key_is_recorded_under_another_name(client, spill, png, told):
    client.post("/v1/predict", content=png, **told)
    assert client.post("/v1/predict", content=png, params={"key": "k" * 201}).status_code == 422
    (row,) = spill()
    assert row["key"]
    assert row["key"] != "me"


class Held:
    """A graph that answers when it is let go."""

    def __init__(self, graph):
        self.graph = graph
        self.free = threading.Event()

    def run(self, *arguments):
        self.free.wait(30)
        return self.graph.run(*arguments)

    def __getattr__(self, name):
        return getattr(self.graph, name)


def test_who_comes_when_there_is_enough_to_do_is_told_to_come_back(client, png, wait_until):
    champion = client.app.state.intake.service.find_live("digits").champion
    held = Held(champion.graph)
    object.__setattr__(champion, "graph", held)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(client.post, "/v1/predict", json={"images": [encode(png)] * 32}) for _ in range(4)]
        wait_until(lambda: "windhover_images_in_flight 128.0" in client.get("/metrics").text, "a full house")
        refusal = client.post("/v1/predict", content=png)
        assert client.get("/healthz").status_code == 200
        held.free.set()
    assert (refusal.status_code, refusal.json()["error"], refusal.headers["retry-after"]) == (429, "overloaded", "1")
    assert all("predicted" in one for answer in waiting for one in answer.result().json()["answers"])
    assert client.post("/v1/predict", content=png).status_code == 200


def test_good_images_are_answered_among_hostile_ones(client, png):
    hostile = [bomb(), gif(), png[:-20], b"", bytes(200_000), b"x"]
    for place in range(60):
        assert 400 <= client.post("/v1/predict", content=hostile[place % len(hostile)]).status_code < 500
        assert client.post("/v1/predict", content=png).status_code == 200


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


def test_a_project_must_be_named_once_there_are_two(client, make_release, want, png):
    want(make_release(2, name="defects"))
    client.app.state.intake.service.plan.reconcile()
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


def test_feedback_is_taken_and_never_longer_than_it_can_be(client, spill, png):
    asked = client.post("/v1/predict", content=png).json()
    told = {"request_id": asked["request_id"], "label": "3"}
    answer = client.post("/v1/feedback", json=told)
    assert (answer.status_code, answer.json()) == (202, told)
    assert spill()[-1] | told == spill()[-1]
    long = client.post("/v1/feedback", content=b" " * 20_000, headers={"content-type": "application/json"})
    assert (long.status_code, long.json()["error"]) == (413, "too_large_bytes")
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 9000):
        assert client.post("/v1/feedback", content=body).json()["error"] == "bad_request"


def test_an_answer_that_cannot_be_recorded_is_not_given(client, png, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(client.app.state.intake.service.recorder, "append", fail)
    refusal = client.post("/v1/predict", content=png)
    assert refusal.status_code == 503
    assert "no space left" in refusal.json()["reason"]
