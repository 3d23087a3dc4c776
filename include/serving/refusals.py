"""Requests that are refused: what is wrong with them, and what to do."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from include.vision.decoding import RejectedImageError

REMEDIES = {
    "empty": "send the bytes of one image file as the request's body",
    "too_large_bytes": "send a smaller file",
    "not_an_image": "send the file itself as the body, or a form or JSON with the content type that says so",
    "format_not_allowed": "convert the image first",
    "too_many_pixels": "scale the image down first",
    "extreme_aspect": "crop the image first",
    "truncated": "send the file again, whole",
    "animated": "send one frame as a file of its own",
}
UNREADABLE_STATUS = 422
# Answers below it have the form that its clients read.
OPEN_INFERENCE = "/v2"
# What is left of a refused body would be read to its end, were the connection kept.
CLOSING = (408, 413)
STATUSES = {"empty": 400, "too_large_bytes": 413, "too_many_pixels": 413, "format_not_allowed": 415}


class Refusal(BaseModel):
    """The body of every refusal."""

    error: str = Field(description="Kind of refusal, for programs.")
    reason: str = Field(description="What is wrong, for people.")
    remedy: str = Field(description="What to do about it.")


class RefusedRequestError(Exception):
    """A request that gets no answer but a reason."""

    def __init__(self, status: int, error: str, reason: str, remedy: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after
        self.refusal = Refusal(error=error, reason=reason, remedy=remedy)


def refuse_image(error: RejectedImageError) -> RefusedRequestError:
    """Say why an image is refused."""
    remedy = REMEDIES.get(error.reason, "send another image")
    return RefusedRequestError(STATUSES.get(error.reason, UNREADABLE_STATUS), error.reason, str(error), remedy)


def describe_faults(faults: Iterable[Mapping[str, Any]]) -> str:
    """Say where a body breaks its schema, and how, from pydantic's errors."""
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults)


def respond_refusal(path: str, error: RefusedRequestError) -> JSONResponse:
    """Put a refusal into an answer; clients of the Open Inference Protocol read one string.

    :param path: Of the request that is refused.
    """
    refusal = error.refusal
    content = refusal.model_dump()
    if path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/"):
        content = {"error": f"{refusal.reason}; {refusal.remedy}"}
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status in CLOSING:
        headers["connection"] = "close"
    return JSONResponse(content, error.status, headers)


def add_refusals(app: FastAPI) -> None:
    """Give every refusal of an app the same body."""

    @app.exception_handler(RefusedRequestError)
    async def refuse(request: Request, error: RefusedRequestError) -> JSONResponse:
        return respond_refusal(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = describe_faults({**fault, "loc": fault["loc"][1:]} for fault in error.errors())
        refused = RefusedRequestError(UNREADABLE_STATUS, "bad_request", faults, "see /openapi.json for the fields")
        return respond_refusal(request.url.path, refused)

    @app.exception_handler(HTTPException)
    async def refuse_address(request: Request, error: HTTPException) -> JSONResponse:
        name = HTTPStatus(error.status_code).name.lower()
        reason = f"{request.method} {request.url.path[:80]}: {error.detail}"
        return respond_refusal(
            request.url.path,
            RefusedRequestError(error.status_code, name, reason, "see /openapi.json for what there is"),
        )

    @app.exception_handler(Exception)
    async def refuse_failure(request: Request, error: Exception) -> JSONResponse:
        reason = f"the serving process failed: {type(error).__name__}"
        return respond_refusal(
            request.url.path, RefusedRequestError(500, "failed", reason, "try again; its log says what went wrong")
        )
