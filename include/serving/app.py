"""HTTP face of the serving process."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel

from include.serving.plan import ServingState
from include.serving.refusals import Refusal, RefusedRequestError, add_refusals
from include.serving.service import Feedback, Prediction, Service
from include.settings import Settings, load_settings

BODY_SECONDS = 30.0

router = APIRouter()
pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "No image, or no project named"},
    404: {"model": Refusal, "description": "No such project"},
    413: {"model": Refusal, "description": "Image too large"},
    415: {"model": Refusal, "description": "Image format not allowed"},
    422: {"model": Refusal, "description": "Unreadable image, or impossible field"},
    503: {"model": Refusal, "description": "No release in service"},
}
IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Releases(BaseModel):
    """State of every project."""

    projects: dict[str, ServingState]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the app; its service starts and ends with the server that runs it.

    :param settings: Locations; the environment's unless given.
    """
    app = FastAPI(
        title="Windhover serving",
        summary="Answers images with the release that the ledger names.",
        lifespan=_run_service,
        # FastAPI's own pages draw their scripts from a content delivery network; `/` lists the endpoints without one.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings or load_settings()
    add_refusals(app)
    app.include_router(router)
    return app


@contextlib.asynccontextmanager
async def _run_service(app: FastAPI) -> AsyncIterator[None]:
    service = Service(app.state.settings, threads=os.cpu_count() or 1)
    app.state.service = service
    service.recorder.start()
    await asyncio.to_thread(service.plan.restore)
    following = asyncio.create_task(service.plan.follow())
    try:
        yield
    finally:
        following.cancel()
        service.pool.shutdown()
        await asyncio.to_thread(service.recorder.stop)


def _find_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_find_service)]
Project = Annotated[str | None, Query(description="May be left out while one project is being served.")]


@router.post("/v1/predict", summary="Classify one image", responses=REFUSALS, openapi_extra=IMAGE_BODY, tags=["images"])
async def predict(request: Request, service: ServiceOf, project: Project = None) -> Prediction:
    """Send the bytes of one image file; the answer is recorded before it is sent."""
    started = time.perf_counter()
    model = service.choose_model(project)
    data = await _read_body(request, model.manifest.decoding.max_bytes)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(service.pool, service.predict, model, data, started)


@router.post("/v1/feedback", summary="Tell what an image showed", responses=REFUSALS, status_code=202, tags=["images"])
async def accept_feedback(feedback: Feedback, service: ServiceOf) -> Feedback:
    """Send the true label of an answered image, as soon as somebody knows it."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(service.pool, service.accept, feedback)
    return feedback


@router.get("/v1/release", summary="Which release is live, which is wanted, and why they differ", tags=["state"])
async def show_releases(service: ServiceOf) -> Releases:
    """List every project that is served, or should be."""
    return Releases(projects=service.plan.describe())


@router.get("/healthz", summary="Whether the process works", tags=["state"])
async def show_health(service: ServiceOf) -> dict[str, Any]:
    """Answer while the event loop turns; say how much of the prediction log is still on its way to the store."""
    return {"status": "ok", "unpublished_segments": service.recorder.count_segments()}


@router.get("/readyz", summary="Whether images get answers", responses={503: REFUSALS[503]}, tags=["state"])
async def show_readiness(service: ServiceOf) -> dict[str, Any]:
    """Answer 200 once a release is live."""
    live = [project for project in service.plan.projects if service.plan.find_model(project)]
    if not live:
        raise RefusedRequestError(503, "no_release", "no release is in service", "deploy a model, then ask again")
    return {"status": "ready", "projects": live}


@router.get("/", include_in_schema=False)
async def show_page(request: Request, service: ServiceOf) -> HTMLResponse:
    """Show people what is served and how to ask, and let them try it."""
    endpoints = request.app.openapi()["paths"]
    page = pages.get_template("page.html").render(projects=service.plan.describe(), endpoints=endpoints)
    return HTMLResponse(page)


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """Read a body that may claim anything about itself, and never more of it than an image may have."""
    too_large = RefusedRequestError(
        413, "too_large_bytes", f"the body has more than the {max_bytes} bytes allowed", "send a smaller file"
    )
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > max_bytes:
                    raise too_large
    except TimeoutError as error:
        reason = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise RefusedRequestError(408, "too_slow", reason, "send it again, on a better line") from error
    return bytes(data)
