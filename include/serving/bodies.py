"""Read bodies that may claim anything about themselves, and take the image files out of them."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from python_multipart.multipart import File, FormParser, parse_options_header
from starlette.requests import ClientDisconnect

from include.serving.admission import Admission
from include.serving.refusals import UNREADABLE_STATUS, RefusedRequestError, describe_faults

BODY_SECONDS = 30.0
MAX_IMAGES = 32
# Several images together, or one that base64 has made a third longer.
ENVELOPE_BYTES = 32 * 2**20
JSON_TYPE = "application/json"
FORM_TYPE = "multipart/form-data"
FORM_REMEDY = "send one file in the field `image`, or several in `images`"


class ImagesInJson(BaseModel):
    """One image, or several, in base64."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    image: str | None = Field(None, description="One image file in base64; answered alone.")
    images: list[str] | None = Field(None, min_length=1, max_length=MAX_IMAGES, description="Answered in this order.")

    @model_validator(mode="after")
    def _has_either(self) -> Self:
        if (self.image is None) == (self.images is None):
            raise ValueError("give either `image` or `images`")
        return self


class Images(NamedTuple):
    """The image files of a request, or why one of them is none."""

    files: list[bytes | RefusedRequestError]
    alone: bool


def limit_body(content_type: str, max_bytes: int) -> int:
    """Return how long a body may be, in bytes, where one image may have `max_bytes`."""
    return max(ENVELOPE_BYTES, 2 * max_bytes) if content_type in (JSON_TYPE, FORM_TYPE) else max_bytes


def read_content_type(request: Request) -> str:
    """Return the media type of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def receive_body(request: Request, max_bytes: int, memory: Admission) -> AsyncIterator[bytes]:
    """Read a body, and never more of it than is allowed; its memory is counted until the block ends.

    :raises RefusedRequestError: 413, it is too long; 408, it is too slow; 415, it is compressed; 429, memory is short.
    """
    _check_headers(request, max_bytes)
    data = bytearray()
    try:
        await _read_stream(request, data, max_bytes, memory)
        yield bytes(data)
    finally:
        memory.give(len(data))


async def read_images(request: Request, body: bytes) -> Images:
    """Take the image files out of a body: the body itself, a form, or JSON.

    :raises RefusedRequestError: 422, the form or the JSON holds no images, or too many.
    """
    match read_content_type(request):
        case "application/json":
            return await asyncio.to_thread(_read_json, body)
        case "multipart/form-data":
            return await asyncio.to_thread(_read_form, body, request.headers["content-type"])
        case _:
            return Images([body], alone=True)


def decode_base64(text: str | bytes) -> bytes | RefusedRequestError:
    """Return the bytes of strict base64 (RFC 4648), or why they cannot be had."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        return RefusedRequestError(
            UNREADABLE_STATUS, "not_base64", f"the image is no base64: {error}", "encode the file's bytes in base64"
        )


async def _read_stream(request: Request, data: bytearray, max_bytes: int, memory: Admission) -> None:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                if len(data) + len(chunk) > max_bytes:
                    raise _refuse_length(max_bytes)
                memory.take(len(chunk))
                data += chunk
    except ClientDisconnect as error:
        raise RefusedRequestError(400, "incomplete", "the body ended early", "send it again, whole") from error
    except TimeoutError as error:
        reason = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise RefusedRequestError(408, "too_slow", reason, "send it again, on a better line") from error


def _check_headers(request: Request, max_bytes: int) -> None:
    # A few compressed bytes may hold any number of others.
    if request.headers.get("content-encoding", "identity") != "identity":
        reason = "the body is compressed"
        raise RefusedRequestError(415, "compressed", reason, "send the body as it is, without Content-Encoding")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > max_bytes:
        raise _refuse_length(max_bytes)


def _refuse_length(max_bytes: int) -> RefusedRequestError:
    reason = f"the body has more than the {max_bytes} bytes allowed"
    return RefusedRequestError(413, "too_large_bytes", reason, "send a smaller file, or fewer of them")


def _read_json(body: bytes) -> Images:
    try:
        found = ImagesInJson.model_validate_json(body)
    except ValidationError as error:
        remedy = 'send {"image": base64} or {"images": [base64, ...]}'
        raise RefusedRequestError(UNREADABLE_STATUS, "bad_request", describe_faults(error.errors()), remedy) from error
    texts = [found.image] if found.image is not None else found.images or []
    return Images([decode_base64(text) for text in texts], alone=found.image is not None)


def _read_form(body: bytes, content_type: str) -> Images:
    files: list[tuple[bytes | None, bytes]] = []
    ends: list[bool] = []

    def add(file: File) -> None:
        if len(files) == MAX_IMAGES:
            raise ValueError(f"more than {MAX_IMAGES} files")
        file.file_object.seek(0)
        files.append((file.field_name, file.file_object.read()))
        file.close()

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    in_memory = {"MAX_MEMORY_FILE_SIZE": len(body)}
    try:
        parser = FormParser(FORM_TYPE, None, add, lambda: ends.append(True), boundary, config=in_memory)
        parser.write(body)
        parser.finalize()
    except Exception as error:
        # Its assertions, too, are met by forms that are none.
        raise _refuse_form(f"the form cannot be read: {error}") from error
    if not ends:
        raise _refuse_form("the form ends too early")
    names = {name for name, _ in files}
    if names not in ({b"image"}, {b"images"}) or (names == {b"image"} and len(files) > 1):
        raise _refuse_form(f"the form holds {len(files)} files, in the fields {sorted(map(str, names))}")
    return Images([data for _, data in files], alone=names == {b"image"})


def _refuse_form(reason: str) -> RefusedRequestError:
    return RefusedRequestError(UNREADABLE_STATUS, "bad_request", reason[:300], FORM_REMEDY)
