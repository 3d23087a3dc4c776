"""Requests that are refused: what is wrong with them, and what to do."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from include.vision.decoding import RejectedImageError

REMEDIES = {
    "empty": "send the bytes of one image file as the request's body",
    "too_large_bytes": "send a smaller file",
    "not_an_image": "send the file itself, neither base64 nor a form",
    "format_not_allowed": "convert the image first",
    "too_many_pixels": "scale the image down first",
    "extreme_aspect": "crop the image first",
    "truncated": "send the file again, whole",
    "animated": "send one frame as a file of its own",
}
UNREADABLE_STATUS = 422
STATUSES = {"empty": 400, "too_large_bytes": 413, "too_many_pixels": 413, "format_not_allowed": 415}


class Refusal(BaseModel):
    """The body of every refusal."""

    error: str = Field(description="Kind of refusal, for programs.")
    reason: str = Field(description="What is wrong, for people.")
    remedy: str = Field(description="What to do about it.")


class RefusedRequestError(Exception):
    """A request that gets no answer but a reason."""

    def __init__(self, status: int, error: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.status = status
        self.refusal = Refusal(error=error, reason=reason, remedy=remedy)


def refuse_image(error: RejectedImageError) -> RefusedRequestError:
    """Say why an image is refused."""
    remedy = REMEDIES.get(error.reason, "send another image")
    return RefusedRequestError(STATUSES.get(error.reason, UNREADABLE_STATUS), error.reason, str(error), remedy)


def add_refusals(app: FastAPI) -> None:
    """Give every refusal of an app the same body."""

    @app.exception_handler(RefusedRequestError)
    async def refuse(request: Request, error: RefusedRequestError) -> JSONResponse:
        # What is left of a refused body would be read to its end, were the connection kept.
        headers = {"connection": "close"} if error.status == STATUSES["too_large_bytes"] else None
        return JSONResponse(error.refusal.model_dump(), error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = (f"{'.'.join(map(str, fault['loc'][1:])) or 'body'}: {fault['msg']}" for fault in error.errors())
        refusal = Refusal(error="bad_request", reason="; ".join(faults), remedy="see /openapi.json for the fields")
        return JSONResponse(refusal.model_dump(), UNREADABLE_STATUS)
