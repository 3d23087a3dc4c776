"""Tensors of the Open Inference Protocol v2, in JSON or in Triton's binary tensor data extension."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from include.serving.bodies import MAX_IMAGES, decode_base64
from include.serving.refusals import UNREADABLE_STATUS, RefusedRequestError, describe_faults

BINARY_HEADER = "inference-header-content-length"
PIXELS = "images"
FILES = "image_bytes"
LENGTH_BYTES = 4
CHANNELS = 3

# A request's images: files, or pixels, uint8 [H, W, 3].
Items = list[bytes | NDArray[np.uint8] | RefusedRequestError]


class _Parameters(BaseModel):
    # What is not known here (shared memory, classification) would change what the numbers mean.
    model_config = ConfigDict(extra="forbid")

    binary_data_size: NonNegativeInt | None = None
    binary_data: bool | None = None


class _RequestParameters(BaseModel):
    binary_data_output: bool = False


class _Input(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    name: str
    shape: list[NonNegativeInt] = Field(min_length=1, max_length=4)
    datatype: str
    parameters: _Parameters = _Parameters()
    data: list[Any] | None = None


class _Output(BaseModel):
    name: str
    parameters: _Parameters = _Parameters()


class InferenceRequest(BaseModel):
    """The JSON of a request for inference; exactly one input."""

    id: str = Field("", max_length=200)
    parameters: _RequestParameters = _RequestParameters()
    inputs: list[_Input] = Field(min_length=1, max_length=1)
    outputs: list[_Output] = Field([], max_length=16)


class Encoded(NamedTuple):
    """The body of an answer, and its headers."""

    body: bytes
    headers: dict[str, str]


def read_request(body: bytes, header: str | None, max_pixels: int) -> tuple[InferenceRequest, Items]:
    """Take the images out of a request for inference.

    :param header: Length of the JSON at its beginning, where binary tensors follow it.
    :param max_pixels: Of one image that is sent as pixels.
    :raises RefusedRequestError: 422, it breaks the protocol; 413, the images are too large or too many.
    """
    length = len(body) if header is None else int(header) if header.isdecimal() else -1
    if not 0 <= length <= len(body):
        raise _refuse(f"{BINARY_HEADER} is {header!r}, the body has {len(body)} bytes")
    try:
        request = InferenceRequest.model_validate_json(body[:length])
    except ValidationError as error:
        raise _refuse(describe_faults(error.errors())) from error
    tensor = request.inputs[0]
    raw = _find_binary(tensor, body[length:])
    if tensor.shape[0] > MAX_IMAGES:
        reason = f"{tensor.shape[0]} images, at most {MAX_IMAGES} are taken at once"
        raise RefusedRequestError(413, "too_many_images", reason, "send fewer at once")
    if (tensor.name, tensor.datatype) == (PIXELS, "UINT8"):
        return request, _read_pixels(tensor, raw, max_pixels)
    if (tensor.name, tensor.datatype) == (FILES, "BYTES"):
        return request, _read_files(tensor, raw)
    raise _refuse(f"there is no input {tensor.name[:80]!r} of type {tensor.datatype[:20]!r}")


def encode_response(
    request: InferenceRequest, model: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]
) -> Encoded:
    """Encode the outputs that were asked for, all of them where none is named.

    :param model: `model_name` and `model_version`.
    :raises RefusedRequestError: 422, an output is asked for that does not exist.
    """
    binary = request.parameters.binary_data_output
    wanted = {output.name: output.parameters.binary_data for output in request.outputs} or dict.fromkeys(tensors)
    if unknown := wanted.keys() - tensors.keys():
        raise _refuse(f"there is no output {sorted(unknown)}; there are {sorted(tensors)}")
    outputs: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, asked in wanted.items():
        described = {"name": name, "datatype": name_type(tensors[name]), "shape": list(tensors[name].shape)}
        if binary if asked is None else asked:
            blobs.append(_pack(tensors[name]))
            outputs.append({**described, "parameters": {"binary_data_size": len(blobs[-1])}})
        else:
            outputs.append({**described, "data": tensors[name].ravel().tolist()})
    head = json.dumps({**model, "id": request.id, "outputs": outputs}).encode()
    if not blobs:
        return Encoded(head, {"content-type": "application/json"})
    return Encoded(head + b"".join(blobs), {"content-type": "application/octet-stream", BINARY_HEADER: str(len(head))})


def name_type(tensor: NDArray[Any]) -> str:
    """Return the protocol's name of an array's type."""
    return {"f": "FP32", "i": "INT64", "O": "BYTES"}[tensor.dtype.kind]


def _find_binary(tensor: _Input, rest: bytes) -> bytes | None:
    size = tensor.parameters.binary_data_size
    if (size is None) == (tensor.data is None):
        raise _refuse(f"input {tensor.name[:80]!r} needs either `data` or `binary_data_size`")
    if len(rest) != (size or 0):
        raise _refuse(f"{len(rest)} bytes follow the JSON, it announces {size or 0}")
    return None if size is None else rest


def _read_pixels(tensor: _Input, raw: bytes | None, max_pixels: int) -> Items:
    if len(tensor.shape) != CHANNELS + 1 or tensor.shape[-1] != CHANNELS or 0 in tensor.shape:
        raise _refuse(f"{PIXELS} has shape {tensor.shape}, not [N, H, W, {CHANNELS}]")
    if tensor.shape[1] * tensor.shape[2] > max_pixels:
        reason = f"{tensor.shape[2]} x {tensor.shape[1]} pixels, at most {max_pixels} are allowed"
        raise RefusedRequestError(413, "too_many_pixels", reason, "scale the images down first")
    try:
        flat = np.asarray(tensor.data, np.uint8) if raw is None else np.frombuffer(raw, np.uint8)
        return list(flat.reshape(tensor.shape))
    except (ValueError, TypeError, OverflowError) as error:
        raise _refuse(f"{PIXELS} cannot be read as uint8 {tensor.shape}: {error}") from error


def _read_files(tensor: _Input, raw: bytes | None) -> Items:
    if raw is not None:
        found: Items = list(_unpack(raw))
    else:
        found = [decode_base64(text) if isinstance(text, str) else _refuse("no text") for text in tensor.data or []]
    if len(tensor.shape) != 1 or len(found) != tensor.shape[0] or not found:
        raise _refuse(f"{FILES} has shape {tensor.shape} and {len(found)} elements; it takes [N], N of them")
    return found


def _unpack(raw: bytes) -> list[bytes]:
    """Read elements of type BYTES: a length, four bytes, little-endian, before each."""
    found: list[bytes] = []
    position = 0
    while position < len(raw) and len(found) <= MAX_IMAGES:
        start = position + LENGTH_BYTES
        position = start + int.from_bytes(raw[position:start], "little")
        if start > len(raw) or position > len(raw):
            raise _refuse(f"{FILES} ends within its element {len(found)}")
        found.append(raw[start:position])
    return found


def _pack(tensor: NDArray[Any]) -> bytes:
    if tensor.dtype.kind != "O":
        return tensor.tobytes()
    texts = [text.encode() for text in tensor.ravel()]
    return b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts)


def _refuse(reason: str) -> RefusedRequestError:
    remedy = f"send {PIXELS}, UINT8 [N, H, W, 3], or {FILES}, BYTES [N] (base64 in JSON)"
    return RefusedRequestError(UNREADABLE_STATUS, "bad_request", reason, remedy)
