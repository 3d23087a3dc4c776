"""Bodies that claim anything about themselves."""

import asyncio
import base64
import json

import httpx
import pytest
from fastapi import Request

import include.serving.bodies as bodies_module
from include.serving.admission import Admission
from include.serving.bodies import MAX_IMAGES, decode_base64, limit_body, read_images, receive_body
from include.serving.refusals import RefusedRequestError

MEMORY = 1000


def make_request(*chunks, ends=True, **headers):
    """Make a request whose body comes in chunks, and may never end."""
    waiting = [*chunks]

    async def receive():
        if waiting:
            chunk = waiting.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting) or not ends}
        return await asyncio.Future()

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": named}, receive)


def receive(request, max_bytes=100, memory=None):
    async def read():
        async with receive_body(request, max_bytes, memory or Admission(MEMORY)) as body:
            return body

    return asyncio.run(asyncio.wait_for(read(), 30))


def read(body, content_type):
    return asyncio.run(read_images(make_request(content_type=content_type), body))


def make_form(*files):
    request = httpx.Request("POST", "http://x", files=[(name, (f"{name}.png", data)) for name, data in files])
    return request.read(), request.headers["content-type"]


def make_json(document):
    return json.dumps(document).encode(), "application/json"


def encode(data):
    return base64.b64encode(data).decode()


def test_a_body_arrives_whole_and_its_memory_is_counted_until_it_is_let_go():
    memory = Admission(MEMORY)

    async def read():
        async with receive_body(make_request(b"ab", b"", b"c"), 3, memory) as body:
            assert memory.taken == 3
            return body

    assert asyncio.run(read()) == b"abc"
    assert memory.taken == 0


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        pytest.param([b"x"], {"content_length": "101"}, id="announced"),
        pytest.param([b"x"], {"content_length": "9" * 400}, id="absurd"),
        pytest.param([b"x"], {"content_length": "-1"}, id="negative"),
        pytest.param([b"x"], {"content_length": "ten"}, id="no-number"),
        pytest.param([b"x"], {"content_length": "²"}, id="superscript"),
        pytest.param([b"x" * 60, b"x" * 60], {}, id="unannounced"),
        pytest.param([b"x" * 60, b"x" * 60], {"content_length": "5"}, id="announced-too-small"),
    ],
)
def test_a_body_that_is_too_long_is_refused_whatever_it_says(chunks, headers):
    memory = Admission(MEMORY)
    with pytest.raises(RefusedRequestError) as refused:
        receive(make_request(*chunks, **headers), memory=memory)
    assert (refused.value.status, refused.value.refusal.error) == (413, "too_large_bytes")
    assert memory.taken == 0


def test_a_body_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(bodies_module, "BODY_SECONDS", 0.05)
    memory = Admission(MEMORY)
    with pytest.raises(RefusedRequestError) as refused:
        receive(make_request(b"x", ends=False), memory=memory)
    assert (refused.value.status, refused.value.refusal.error, memory.taken) == (408, "too_slow", 0)


def test_a_client_that_hangs_up_is_no_failure_of_ours():
    async def receive_nothing():
        return {"type": "http.disconnect"}

    memory = Admission(MEMORY)
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive_nothing)
    with pytest.raises(RefusedRequestError, match="ended early"):
        receive(request, memory=memory)
    assert memory.taken == 0


def test_a_compressed_body_is_refused():
    with pytest.raises(RefusedRequestError) as refused:
        receive(make_request(b"x", content_encoding="gzip"))
    assert (refused.value.status, refused.value.refusal.error) == (415, "compressed")


def test_memory_is_shared_by_all_bodies():
    memory = Admission(MEMORY)
    memory.take(MEMORY - 5)
    assert receive(make_request(b"12345"), memory=memory) == b"12345"
    with pytest.raises(RefusedRequestError) as refused:
        receive(make_request(b"123", b"456"), memory=memory)
    assert (refused.value.status, memory.taken) == (429, MEMORY - 5)


def test_only_what_can_hold_several_images_may_be_longer_than_one():
    assert limit_body("image/png", 10) == limit_body("", 10) == 10
    assert limit_body("application/json", 10) == bodies_module.ENVELOPE_BYTES
    assert limit_body("multipart/form-data", 10**9) == 2 * 10**9


@pytest.mark.parametrize("content_type", ["", "image/png", "application/x-www-form-urlencoded", "text/json"])
def test_any_other_body_is_the_file_itself(content_type):
    assert read(b"pixels", content_type) == ([b"pixels"], True)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(make_form(("image", b"one")), ([b"one"], True), id="form-alone"),
        pytest.param(make_form(("images", b"one")), ([b"one"], False), id="form-list-of-one"),
        pytest.param(make_form(("images", b"b"), ("images", b"a\r\n--x")), ([b"b", b"a\r\n--x"], False), id="form"),
        pytest.param(make_form(("image", b"")), ([b""], True), id="form-empty"),
        pytest.param(make_form(("image", bytes(3_000_000))), ([bytes(3_000_000)], True), id="form-large"),
        pytest.param(make_json({"image": encode(b"one")}), ([b"one"], True), id="json-alone"),
        pytest.param(make_json({"images": [encode(b"b"), encode(b"a")]}), ([b"b", b"a"], False), id="json"),
    ],
)
def test_images_are_taken_out_in_their_order(body, found):
    assert read(*body) == found


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(make_form(("picture", b"one")), id="form-other-field"),
        pytest.param(make_form(("image", b"a"), ("image", b"b")), id="form-two-alone"),
        pytest.param(make_form(("image", b"a"), ("images", b"b")), id="form-both"),
        pytest.param(make_form(*[("images", b"a")] * (MAX_IMAGES + 1)), id="form-too-many"),
        pytest.param((make_form(("image", b"a"))[0][:-20], make_form(("image", b"a"))[1]), id="form-other-boundary"),
        pytest.param((b"", "multipart/form-data; boundary=x"), id="form-nothing"),
        pytest.param((b"--x\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x"), id="form-no-name"),
        pytest.param((b"--x", "multipart/form-data"), id="form-no-boundary"),
        pytest.param((b"--x--\r\n", "multipart/form-data; boundary=x"), id="form-no-part"),
        pytest.param((b"\r\n--" * 10_000, "multipart/form-data; boundary=" + "-" * 5000), id="form-boundary-only"),
        pytest.param((b"", "application/json"), id="json-nothing"),
        pytest.param((b"[" * 100_000, "application/json"), id="json-deep"),
        pytest.param((b"\xff\xfe", "application/json"), id="json-no-text"),
        pytest.param(make_json({}), id="json-neither"),
        pytest.param(make_json({"image": "eA==", "images": ["eA=="]}), id="json-both"),
        pytest.param(make_json({"images": []}), id="json-empty"),
        pytest.param(make_json({"images": ["eA=="] * (MAX_IMAGES + 1)}), id="json-too-many"),
        pytest.param(make_json({"image": 7}), id="json-number"),
        pytest.param(make_json({"image": "eA==", "mood": "good"}), id="json-unknown"),
    ],
)
def test_envelopes_without_images_are_refused_briefly(body):
    with pytest.raises(RefusedRequestError) as refused:
        read(*body)
    assert (refused.value.status, refused.value.refusal.error) == (422, "bad_request")
    assert len(refused.value.refusal.reason) < 1000


def test_a_form_that_is_cut_off_is_refused():
    body, content_type = make_form(("image", b"a" * 100))
    for end in range(len(body) - 3):
        with pytest.raises(RefusedRequestError):
            read(body[:end], content_type)


@pytest.mark.parametrize("text", ["?", "eA", "eA==\n", "data:image/png;base64,eA==", "é"])
def test_base64_that_is_none_refuses_its_image_only(text):
    assert decode_base64(text).refusal.error == "not_base64"
    first, second = read(*make_json({"images": [text, "eA=="]})).files
    assert (first.status, second) == (422, b"x")
