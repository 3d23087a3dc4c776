"""Endpoints that say how a serving process is."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel

from include.serving.intake import Intake, IntakeOf
from include.serving.plan import ServingState
from include.serving.refusals import Refusal, RefusedRequestError

UNAVAILABLE = 503

router = APIRouter(tags=["state"])
pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


class Releases(BaseModel):
    """State of every project."""

    projects: dict[str, ServingState]


async def list_ready(intake: Intake) -> list[str]:
    """List the projects that are answered, after asking their models what they should know.

    :raises RefusedRequestError: 503, none is answered, or a model answers otherwise than it did.
    """
    plan = intake.service.plan
    live = [project for project in plan.projects if plan.find_live(project)]
    if not live:
        raise RefusedRequestError(
            UNAVAILABLE, "no_release", "no release is in service", "deploy a model, then ask again"
        )
    if faults := await intake.check():
        reason = "; ".join(faults.values())
        raise RefusedRequestError(UNAVAILABLE, "wrong_answers", reason, "restart this process, or roll back")
    return live


@router.get("/v1/release", summary="Which releases answer, which are wanted, and why they differ")
async def show_releases(intake: IntakeOf) -> Releases:
    """List every project that is served, or should be."""
    return Releases(projects=intake.service.plan.describe())


@router.get("/healthz", summary="Whether the process works")
async def show_health(intake: IntakeOf) -> dict[str, Any]:
    """Answer while the event loop turns; say how much of the prediction log is still on its way to the store."""
    return {"status": "ok", "unpublished_segments": intake.service.recorder.count_segments()}


@router.get(
    "/readyz",
    summary="Whether images get right answers",
    responses={503: {"model": Refusal, "description": "They do not"}},
)
async def show_readiness(intake: IntakeOf) -> dict[str, Any]:
    """Answer 200 while every live release answers its golden images as it did when it was packaged."""
    return {"status": "ready", "projects": await list_ready(intake)}


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def show_metrics(intake: IntakeOf) -> Response:
    """Render what this one process has counted."""
    return Response(intake.metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@router.get("/", include_in_schema=False)
async def show_page(request: Request, intake: IntakeOf) -> HTMLResponse:
    """Show people what is served and how to ask, and let them try it."""
    endpoints = request.app.openapi()["paths"]
    return HTMLResponse(
        pages.get_template("page.html").render(projects=intake.service.plan.describe(), endpoints=endpoints)
    )
