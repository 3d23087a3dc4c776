"""Endpoints of the Open Inference Protocol v2 (KServe, Triton); a model is a project.

The protocol: https://github.com/kserve/open-inference-protocol; binary tensors are Triton's extension of it.
"""

import asyncio
import time
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from include.serving.bodies import ENVELOPE_BYTES
from include.serving.intake import IntakeOf
from include.serving.model import ServedModel
from include.serving.predicting import KEY_PARAMETERS, REFUSALS, read_key
from include.serving.prediction import Prediction
from include.serving.refusals import OPEN_INFERENCE, RefusedRequestError
from include.serving.state import list_ready
from include.serving.tensors import BINARY_HEADER, CHANNELS, FILES, PIXELS, encode_response, read_request

# Numbers in JSON take many times their size once they are read.
JSON_BYTES = 8 * 2**20
PLATFORM = "onnx_onnxruntime"

router = APIRouter(prefix=OPEN_INFERENCE, tags=["open inference protocol"])


@router.get("", summary="What this server is")
async def describe_server() -> dict[str, Any]:
    """Name the server and what it knows beyond the protocol."""
    return {"name": "windhover", "version": "2", "extensions": ["binary_tensor_data"]}


@router.get("/health/live", summary="Whether the process works")
async def show_liveness() -> dict[str, Any]:
    """Answer while the event loop turns."""
    return {"live": True}


@router.get("/health/ready", summary="Whether images get right answers")
async def show_readiness(intake: IntakeOf) -> dict[str, Any]:
    """Answer as `/readyz`."""
    await list_ready(intake)
    return {"ready": True}


@router.get("/models/{model}", summary="Inputs and outputs of a model")
@router.get("/models/{model}/versions/{version}", include_in_schema=False)
async def describe_model(model: str, intake: IntakeOf, version: str = "") -> dict[str, Any]:
    """Describe the release that answers for a project."""
    champion = _find_model(intake, model, version)
    classes = champion.manifest.classes
    return {
        "name": model,
        "versions": [str(champion.manifest.model_version)],
        "platform": PLATFORM,
        "inputs": [
            {"name": PIXELS, "datatype": "UINT8", "shape": [-1, -1, -1, CHANNELS]},
            {"name": FILES, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "predicted", "datatype": "BYTES", "shape": [-1]},
            {"name": "confidence", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(classes)]},
            {"name": "request_id", "datatype": "BYTES", "shape": [-1]},
            {"name": "version", "datatype": "INT64", "shape": [-1]},
            {"name": "variant", "datatype": "BYTES", "shape": [-1]},
        ],
        "parameters": {"classes": list(classes)},
    }


@router.get("/models/{model}/ready", summary="Whether a model answers")
@router.get("/models/{model}/versions/{version}/ready", include_in_schema=False)
async def show_model_readiness(model: str, intake: IntakeOf, version: str = "") -> dict[str, Any]:
    """Answer 200 while a release of the project is live, and answers as it should."""
    _find_model(intake, model, version)
    if fault := (await intake.check()).get(model):
        raise RefusedRequestError(503, "wrong_answers", fault, "restart this process, or roll back")
    return {"name": model, "ready": True}


@router.post(
    "/models/{model}/infer",
    summary="Classify images",
    responses=REFUSALS,
    openapi_extra={"parameters": KEY_PARAMETERS},
)
@router.post("/models/{model}/versions/{version}/infer", include_in_schema=False)
async def infer(request: Request, model: str, intake: IntakeOf, version: str = "") -> Response:
    """Send `images` or `image_bytes`; one image that is refused refuses the whole request."""
    started = time.perf_counter()
    champion = _find_model(intake, model, version)
    binary = request.headers.get(BINARY_HEADER)
    limits = champion.manifest.decoding
    longest = JSON_BYTES if binary is None else max(ENVELOPE_BYTES, 2 * limits.max_bytes)
    async with intake.receive(request, longest) as body:
        question, items = await asyncio.to_thread(read_request, body, binary, limits.max_pixels)
        answers = await intake.answer(model, items, read_key(request), started)
    predictions = [_require(answer, position) for position, answer in enumerate(answers)]
    named = {"model_name": model, "model_version": str(champion.manifest.model_version)}
    body, headers = encode_response(question, named, _tabulate(predictions, champion.manifest.classes))
    return Response(body, headers=headers)


def _find_model(intake: IntakeOf, project: str, version: str) -> ServedModel:
    champion = intake.service.find_live(project).champion
    if version not in ("", str(champion.manifest.model_version)):
        reason = f"version {version[:20]!r} of {project} does not answer"
        remedy = f"ask for version {champion.manifest.model_version}, or for none"
        raise RefusedRequestError(404, "unknown_version", reason, remedy)
    return champion


def _require(answer: Prediction | RefusedRequestError, position: int) -> Prediction:
    if isinstance(answer, RefusedRequestError):
        told, reason = answer.refusal, f"image {position}: {answer.refusal.reason}"
        raise RefusedRequestError(answer.status, told.error, reason, told.remedy, retry_after=answer.retry_after)
    return answer


def _tabulate(answers: list[Prediction], classes: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Put answers into columns; where nobody could answer, the class is empty and the numbers are 0."""
    return {
        "predicted": np.array([answer.predicted or "" for answer in answers], object),
        "confidence": np.array([answer.confidence or 0 for answer in answers], np.float32),
        "probabilities": np.array(
            [[answer.probabilities.get(name, 0) for name in classes] for answer in answers], np.float32
        ),
        "request_id": np.array([answer.request_id for answer in answers], object),
        "version": np.array([answer.model_version for answer in answers], np.int64),
        "variant": np.array([answer.answered_by for answer in answers], object),
    }
