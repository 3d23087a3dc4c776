"""What stands between HTTP and the service: how much is let in, and what became of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request

from include.errors import PermanentError
from include.serving.admission import Admission
from include.serving.bodies import receive_body
from include.serving.metrics import Metrics
from include.serving.prediction import Prediction
from include.serving.refusals import RefusedRequestError
from include.serving.service import Item, Service

MAX_IN_FLIGHT = 128
BODY_BYTES = 256 * 2**20
READY_SECONDS = 3.0
# A few tell whether a model still answers as it did; all of them have been asked before it took traffic.
READY_IMAGES = 2


class Intake:
    """The door of one serving process.

    :param service: What answers.
    """

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self.service = service
        self.metrics = metrics
        self._images = Admission(MAX_IN_FLIGHT, "images")
        self._bodies = Admission(BODY_BYTES, "bytes of requests")
        self._readiness = asyncio.Lock()
        self._ready: tuple[float, dict[str, str]] = (-READY_SECONDS, {})
        metrics.watch(service, self._images, self._bodies)

    @asynccontextmanager
    async def receive(self, request: Request, max_bytes: int) -> AsyncIterator[bytes]:
        """Read the body of a request; see `receive_body`."""
        async with receive_body(request, max_bytes, self._bodies) as body:
            yield body

    async def answer(
        self, project: str, items: Sequence[Item | RefusedRequestError], key: str | None, started: float
    ) -> list[Prediction | RefusedRequestError]:
        """Answer images in their order, each by itself: files, or pixels, uint8 [H, W, 3]; a refusal stays one.

        :param started: `time.perf_counter()` when the request arrived.
        :raises RefusedRequestError: 429, the process has enough to do.
        """
        with self._images.enter(len(items)):
            asked = [item for item in items if not isinstance(item, RefusedRequestError)]
            found = iter(await self.service.predict(project, asked, key, started))
        answers = [item if isinstance(item, RefusedRequestError) else next(found) for item in items]
        for answer in answers:
            if isinstance(answer, RefusedRequestError):
                self.metrics.count_refusal(project, answer.status)
            else:
                self.metrics.count_answer(answer)
        return answers

    async def check(self) -> dict[str, str]:
        """Replay golden images of every live release; return what is wrong, by project.

        Asked more often than every few seconds, it tells what it found last.
        """
        async with self._readiness:
            checked_at, faults = self._ready
            if time.monotonic() - checked_at >= READY_SECONDS:
                faults = await asyncio.to_thread(self._replay)
                self._ready = (time.monotonic(), faults)
            return faults

    def _replay(self) -> dict[str, str]:
        faults = {}
        for project in self.service.plan.projects:
            live = self.service.plan.find_live(project)
            try:
                if live:
                    live.champion.replay(READY_IMAGES)
            except PermanentError as error:
                faults[project] = str(error)
        return faults


async def _find_intake(request: Request) -> Intake:
    # A coroutine, because FastAPI sends a plain function to a thread, for every request.
    intake: Intake = request.app.state.intake
    return intake


IntakeOf = Annotated[Intake, Depends(_find_intake)]
