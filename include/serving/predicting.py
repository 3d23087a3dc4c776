"""Endpoints that take images and what became known of them."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError

from include.serving.bodies import (
    FORM_TYPE,
    JSON_TYPE,
    MAX_IMAGES,
    ImagesInJson,
    limit_body,
    read_content_type,
    read_images,
)
from include.serving.intake import IntakeOf
from include.serving.prediction import Prediction
from include.serving.refusals import UNREADABLE_STATUS, Refusal, RefusedRequestError, describe_faults
from include.serving.service import Feedback

FEEDBACK_BYTES = 10_000
MAX_KEY = 200
KEY_HEADER = "X-Windhover-Key"

router = APIRouter(tags=["images"])

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "No image, or no project named"},
    401: {"model": Refusal, "description": "No token, or a wrong one"},
    404: {"model": Refusal, "description": "No such project"},
    408: {"model": Refusal, "description": "The body arrives too slowly"},
    413: {"model": Refusal, "description": "Image too large"},
    415: {"model": Refusal, "description": "Image format not allowed"},
    422: {"model": Refusal, "description": "Unreadable image, or impossible field"},
    429: {"model": Refusal, "description": "Too many images at once; try again after `Retry-After` seconds"},
    503: {"model": Refusal, "description": "No release in service"},
}
_FILE = {"type": "string", "format": "binary"}
_KEY = {"type": "string", "maxLength": MAX_KEY}
KEY_PARAMETERS = [
    {
        "name": "key",
        "in": "query",
        "schema": _KEY,
        "description": "Name of whoever is asked for; a sticky rollout gives one key one release.",
    },
    {"name": KEY_HEADER, "in": "header", "schema": _KEY, "description": "As `key`."},
]
PREDICT_EXTRA = {
    "parameters": [
        {
            "name": "project",
            "in": "query",
            "schema": {"type": "string"},
            "description": "May be left out while one project is being served.",
        },
        *KEY_PARAMETERS,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _FILE},
            FORM_TYPE: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "image": _FILE,
                        "images": {"type": "array", "items": _FILE, "maxItems": MAX_IMAGES},
                    },
                }
            },
            JSON_TYPE: {"schema": ImagesInJson.model_json_schema()},
        },
    },
}


class Predictions(BaseModel):
    """The answers to several images, in their order."""

    answers: list[Prediction | Refusal] = Field(description="Of each image its own answer, or its own refusal.")


def read_key(request: Request) -> str | None:
    """Return the caller's name for whoever it asks for.

    Read by hand, as `project` is: for every parameter that FastAPI reads, a request takes 15 us longer.

    :raises RefusedRequestError: 422, it is too long.
    """
    key = request.headers.get(KEY_HEADER) or request.query_params.get("key")
    if key and len(key) > MAX_KEY:
        reason = f"the key has {len(key)} characters"
        raise RefusedRequestError(UNREADABLE_STATUS, "bad_request", reason, f"use at most {MAX_KEY}")
    return key or None


@router.post(
    "/v1/predict",
    summary="Classify one image, or several",
    response_model=Prediction | Predictions,
    responses=REFUSALS,
    openapi_extra=PREDICT_EXTRA,
)
async def predict(request: Request, intake: IntakeOf) -> Response:
    """Send the bytes of one image file, a form or JSON; every answer is recorded before it is sent."""
    started = time.perf_counter()
    key = read_key(request)
    live = intake.service.find_live(request.query_params.get("project"))
    limit = limit_body(read_content_type(request), live.champion.manifest.decoding.max_bytes)
    async with intake.receive(request, limit) as body:
        images = await read_images(request, body)
        answers = await intake.answer(live.plan.project, images.files, key, started)
    if not images.alone:
        found = [answer.refusal if isinstance(answer, RefusedRequestError) else answer for answer in answers]
        return _respond(Predictions(answers=found))
    if isinstance(answers[0], RefusedRequestError):
        raise answers[0]
    return _respond(answers[0])


@router.post(
    "/v1/feedback",
    summary="Tell what an image showed",
    response_model=Feedback,
    responses=REFUSALS,
    openapi_extra={"requestBody": {"required": True, "content": {JSON_TYPE: {"schema": Feedback.model_json_schema()}}}},
    status_code=202,
)
async def accept_feedback(request: Request, intake: IntakeOf) -> Feedback:
    """Send the true label of an answered image, as soon as somebody knows it."""
    async with intake.receive(request, FEEDBACK_BYTES) as body:
        try:
            feedback = Feedback.model_validate_json(body)
        except ValidationError as error:
            reason, remedy = describe_faults(error.errors()), "see /openapi.json for the fields"
            raise RefusedRequestError(UNREADABLE_STATUS, "bad_request", reason, remedy) from error
    await intake.service.accept(feedback)
    return feedback


def _respond(answer: BaseModel) -> Response:
    # FastAPI would check, once more, what has been checked when it was made.
    return Response(answer.model_dump_json(), media_type=JSON_TYPE)
