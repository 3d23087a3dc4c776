"""HTTP face of the serving process."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI

from include.serving import explaining, open_inference, predicting, state
from include.serving.intake import Intake
from include.serving.metrics import Metrics, RequestTimer
from include.serving.refusals import add_refusals
from include.serving.service import Service
from include.serving.tokens import TokenGuard
from include.settings import Settings, load_settings


def create_app(settings: Settings | None = None, *, name: str = "serving", address: str = "") -> FastAPI:
    """Build the app; its service starts and ends with the server that runs it.

    :param settings: Locations; the environment's unless given.
    :param name: Name of this process among the replicas of this machine.
    :param address: Where it answers, for the ledger.
    """
    settings = settings or load_settings()

    @contextlib.asynccontextmanager
    async def run_service(app: FastAPI) -> AsyncIterator[None]:
        service = Service(settings, threads=len(os.sched_getaffinity(0)), name=name, address=address)
        app.state.intake = Intake(service, metrics)
        await asyncio.to_thread(service.start)
        try:
            yield
        finally:
            await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="Windhover serving",
        summary="Answers images with the releases that the ledger names.",
        lifespan=run_service,
        # FastAPI's own pages draw their scripts from a content delivery network; `/` lists the endpoints without one.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    metrics = Metrics()
    add_refusals(app)
    for module in (predicting, explaining, open_inference, state):
        app.include_router(module.router)
    app.add_middleware(TokenGuard, token=settings.serving_token)
    app.add_middleware(RequestTimer, metrics=metrics)
    return app
