"""Tensors against a client that is not ours, and against bytes that no client would send."""

import json

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from include.serving.refusals import RefusedRequestError
from include.serving.tensors import BINARY_HEADER, encode_response, read_request

PIXELS = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
FILES = np.array([b"first", b"", b"third\x00\xff"], object)
ANSWERS = {
    "predicted": np.array(["seven", "", "zwölf"], object),
    "confidence": np.array([0.5, 0, 1], np.float32),
    "probabilities": np.arange(6, dtype=np.float32).reshape(3, 2),
    "version": np.array([1, 2, 3], np.int64),
}
MODEL = {"model_name": "digits", "model_version": "3"}


def ask(name, values, datatype, *, binary=True, outputs=None):
    tensor = InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    body, length = InferenceServerClient.generate_request_body([tensor], outputs=outputs, request_id="me")
    return body, None if length is None else str(length)


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_arrive_as_they_were_sent(binary):
    request, items = read_request(*ask("images", PIXELS, "UINT8", binary=binary), 12)
    assert request.id == "me"
    assert np.array_equal(items, PIXELS)
    assert items[0].dtype == np.uint8


def test_nested_pixels_arrive_as_they_were_sent():
    tensor = {"name": "images", "shape": [2, 3, 4, 3], "datatype": "UINT8", "data": PIXELS.tolist()}
    assert np.array_equal(read_request(json.dumps({"inputs": [tensor]}).encode(), None, 12)[1], PIXELS)


def test_files_arrive_as_they_were_sent():
    assert read_request(*ask("image_bytes", FILES, "BYTES"), 12)[1] == FILES.tolist()
    tensor = {"name": "image_bytes", "shape": [2], "datatype": "BYTES", "data": ["Zmlyc3Q=", "?"]}
    first, second = read_request(json.dumps({"inputs": [tensor]}).encode(), None, 12)[1]
    assert first == b"first"
    assert second.refusal.error == "not_base64"


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_reads_what_was_answered(binary):
    outputs = [InferRequestedOutput(name, binary_data=binary) for name in ANSWERS]
    request, _ = read_request(*ask("images", PIXELS, "UINT8", outputs=outputs), 12)
    body, headers = encode_response(request, MODEL, ANSWERS)
    length = headers.get(BINARY_HEADER)
    assert (length is not None) == binary
    result = InferenceServerClient.parse_response_body(body, header_length=length and int(length))
    assert result.get_response()["id"] == "me"
    assert np.array_equal(result.as_numpy("probabilities"), ANSWERS["probabilities"])
    assert np.array_equal(result.as_numpy("version"), ANSWERS["version"])
    texts = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("predicted")]
    assert texts == ["seven", "", "zwölf"]


def test_outputs_are_those_asked_for():
    request, _ = read_request(*ask("images", PIXELS, "UINT8", outputs=[InferRequestedOutput("version")]), 12)
    body, headers = encode_response(request, MODEL, ANSWERS)
    head = json.loads(body[: int(headers[BINARY_HEADER])])
    assert [output["name"] for output in head["outputs"]] == ["version"]
    request, _ = read_request(*ask("images", PIXELS, "UINT8", outputs=[InferRequestedOutput("mood")]), 12)
    with pytest.raises(RefusedRequestError, match="no output"):
        encode_response(request, MODEL, ANSWERS)


def spoil(**changes):
    tensor = {"name": "images", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]} | changes
    return json.dumps({"inputs": [{name: value for name, value in tensor.items() if value is not None}]}).encode()


@pytest.mark.parametrize(
    ("body", "header"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(b"[" * 100_000, None, id="deep"),
        pytest.param(b'{"inputs": []}', None, id="no-input"),
        pytest.param(spoil(), "99999", id="header-beyond-the-body"),
        pytest.param(spoil(), "-1", id="negative-header"),
        pytest.param(spoil(), "\u00b2", id="superscript-header"),
        pytest.param(spoil(name="x"), None, id="unknown-input"),
        pytest.param(spoil(datatype="FP32"), None, id="other-type"),
        pytest.param(spoil(shape=[1, 1, 3]), None, id="three-dimensions"),
        pytest.param(spoil(shape=[1, 1, 1, 4]), None, id="four-channels"),
        pytest.param(spoil(shape=[0, 1, 1, 3]), None, id="no-images"),
        pytest.param(spoil(shape=[1, -1, -1, 3]), None, id="negative"),
        pytest.param(spoil(shape=[1, 2, 1, 3]), None, id="too-few"),
        pytest.param(spoil(data=[1, 2, 256]), None, id="beyond-a-byte"),
        pytest.param(spoil(data=[1, 2, "x"]), None, id="text"),
        pytest.param(spoil(data=[[1, 2], 3]), None, id="ragged"),
        pytest.param(spoil(data=[1, 2, {}]), None, id="object"),
        pytest.param(spoil(data=None), None, id="no-data"),
        pytest.param(spoil(parameters={"binary_data_size": 3}), None, id="data-twice"),
        pytest.param(spoil(data=None, parameters={"binary_data_size": 3}), None, id="binary-that-is-not-there"),
        pytest.param(spoil(data=None, parameters={"shared_memory_region": "x"}), None, id="shared-memory"),
        pytest.param(spoil(name="image_bytes", datatype="BYTES", shape=[0], data=[]), None, id="no-files"),
        pytest.param(spoil(name="image_bytes", datatype="BYTES", shape=[2], data=["eA=="]), None, id="fewer-files"),
    ],
)
def test_what_breaks_the_protocol_is_refused(body, header):
    with pytest.raises(RefusedRequestError) as refused:
        read_request(body, header, 1000)
    assert refused.value.status == 422
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xffxy", b"\x01\x00", b"\x02\x00\x00\x00x"])
def test_files_that_claim_more_than_there_is_are_refused(raw):
    head = spoil(name="image_bytes", datatype="BYTES", shape=[1], data=None, parameters={"binary_data_size": len(raw)})
    with pytest.raises(RefusedRequestError, match="ends within"):
        read_request(head + raw, str(len(head)), 1000)


@pytest.mark.parametrize("shape", [[33, 1, 1, 3], [1, 100, 100, 3], [1, 2**62, 2**62, 3]])
def test_too_many_images_or_pixels_are_refused_before_they_are_made(shape):
    with pytest.raises(RefusedRequestError) as refused:
        read_request(spoil(shape=shape), None, 1000)
    assert refused.value.status == 413
