"""What the serving process does with a request, apart from HTTP."""

import re
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from include.ledger import Ledger
from include.serving.comparing import Comparer
from include.serving.crew import Crew
from include.serving.engine import Engine
from include.serving.fallback import Answer, find_answer
from include.serving.heartbeat import Heartbeat
from include.serving.keeping import ImageKeeper
from include.serving.model import Output, ServedModel
from include.serving.plan import LivePlan, ServingPlan
from include.serving.prediction import Asked, Prediction, describe, write_row
from include.serving.recorder import Recorder
from include.serving.refusals import RefusedRequestError
from include.serving.routing import choose_variant, is_compared, is_kept
from include.settings import Settings
from include.storage import Store

if TYPE_CHECKING:
    import asyncio

# The project leads, so that a label which comes weeks later needs no look-up to find its log.
REQUEST_ID = re.compile(r"([a-z][a-z0-9_]{0,39})-[0-9a-f]{32}")

Item = bytes | NDArray[np.uint8]


class Feedback(BaseModel):
    """What an answered image really showed."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(max_length=80)
    label: str = Field(min_length=1, max_length=200)


class Service:
    """Everything behind the endpoints of one serving process; used from one event loop.

    :param settings: Locations; segments, copies of releases and the remembered plan lie below `home`.
    :param threads: How many images are decoded, run and recorded at the same time.
    :param name: Name of this process among the replicas of this machine, the same after a restart.
    :param address: Where it answers, for the ledger.
    """

    def __init__(self, settings: Settings, threads: int, *, name: str = "serving", address: str = "") -> None:
        ledger, store = Ledger(settings.ledger_uri), settings.open_store()
        folder = settings.home / "serving"
        brought = Store(settings.releases) if settings.releases else None
        self.plan = ServingPlan(ledger, store, folder / "replicas" / name, brought)
        self.recorder = Recorder(folder / "segments", store)
        self.comparer = Comparer(self.recorder)
        self.keeper = ImageKeeper(folder / "images", store)
        self.heartbeat = Heartbeat(ledger, self.plan, name, address)
        self.engine = Engine(threads)
        self._recorders = Crew(threads, "recording")
        self._projects = settings.projects

    def start(self) -> None:
        """Restore what was served last, then follow the ledger; returns once somebody can answer, if anybody can."""
        self.plan.restore()
        for part in (self.recorder, self.keeper, self.comparer, self.plan, self.heartbeat):
            part.start()

    def stop(self) -> None:
        """End every thread, once all that was answered is recorded; nobody may ask any more."""
        for part in (self.heartbeat, self.plan, self.comparer, self.keeper):
            part.stop()
        self.engine.close()
        self._recorders.close()
        self.recorder.stop()

    def find_live(self, project: str | None) -> LivePlan:
        """Find who answers for a project; None names the only one.

        :raises RefusedRequestError: no such project, no release of it is live, or several and none was named.
        """
        served = self.plan.projects
        if project is None:
            if len(served) > 1:
                reason = f"{len(served)} projects are being served: {', '.join(served)}"
                raise RefusedRequestError(400, "project_missing", reason, "name one with ?project=")
            if not served:
                raise RefusedRequestError(503, "no_release", "no project has a release yet", "deploy a model first")
            project = served[0]
        live = self.plan.find_live(project)
        if live is None:
            raise self._refuse_project(project)
        return live

    async def predict(
        self, project: str | None, items: Sequence[Item], key: str | None, started: float
    ) -> list[Prediction | RefusedRequestError]:
        """Answer images in their order, each by itself, and record the answers before anybody sees them.

        :param items: Image files; or pixels, uint8 [H, W, 3].
        :param key: The caller's name for whoever it asks for; with a sticky plan, one key meets one release.
        :param started: `time.perf_counter()` when the request arrived.
        :raises RefusedRequestError: no release.
        """
        live = self.find_live(project)
        images = await self._decode(items, live)
        asked = [
            self._ask(live, image, item, key)
            for image, item in zip(images, items, strict=True)
            if not isinstance(image, RefusedRequestError)
        ]
        try:
            answers = [(one, await find_answer(live, one.turn, partial(self._run, one))) for one in asked]
        finally:
            for one in asked:
                one.first.cancel()
        answered = iter(await self._conclude(live, answers, key, started))
        return [image if isinstance(image, RefusedRequestError) else next(answered) for image in images]

    async def accept(self, feedback: Feedback) -> None:
        """Record the true label of an answered image.

        :raises RefusedRequestError: no such request or class, or the label cannot be recorded.
        """
        named = REQUEST_ID.fullmatch(feedback.request_id)
        if named is None:
            reason = f"{feedback.request_id!r} is no request_id of this service"
            raise RefusedRequestError(422, "bad_request_id", reason, "send the request_id that came with the answer")
        project = named[1]
        classes = {name: None for model in self.find_live(project).models for name in model.manifest.classes}
        if feedback.label not in classes:
            reason = f"{feedback.label!r} is no class of {project}"
            raise RefusedRequestError(422, "unknown_label", reason, f"use one of: {', '.join(classes)}")
        row = {**feedback.model_dump(), "project": project, "time": datetime.now(UTC)}
        await self._recorders.begin(partial(self._record, "feedback", [row])).result

    async def _decode(self, items: Sequence[Item], live: LivePlan) -> list[NDArray[np.uint8] | RefusedRequestError]:
        files = [item for item in items if isinstance(item, bytes)]
        decoded = iter(await self.engine.decode(files, live.champion.manifest.decoding))
        return [next(decoded) if isinstance(item, bytes) else item for item in items]

    def _ask(self, live: LivePlan, image: NDArray[np.uint8], item: Item, key: str | None) -> Asked:
        request_id = f"{live.plan.project}-{uuid.uuid4().hex}"
        turn = choose_variant(live.plan, request_id, key)
        model = live.candidate if turn == "candidate" and live.candidate else live.champion
        return Asked(
            request_id, turn, image, item if isinstance(item, bytes) else None, model, self.engine.run(model, image)
        )

    def _run(self, asked: Asked, model: ServedModel) -> "asyncio.Future[Output]":
        return asked.first if model is asked.model else self.engine.run(model, asked.image)

    async def _conclude(
        self, live: LivePlan, answers: list[tuple[Asked, Answer]], key: str | None, started: float
    ) -> list[Prediction | RefusedRequestError]:
        """Record answers and return them, or for each the refusal where they cannot be recorded."""
        described = [(asked, answer, describe(asked, live, answer)) for asked, answer in answers]
        if not described:
            return []
        try:
            await self._recorders.begin(partial(self._record_answers, live, described, key, started)).result
        except RefusedRequestError as refusal:
            return [refusal for _ in described]
        for asked, _ in answers:
            if is_compared(live.plan, asked.request_id):
                self.comparer.offer(live, asked.request_id, asked.image)
        return [prediction for _, _, prediction in described]

    def _record_answers(
        self, live: LivePlan, described: list[tuple[Asked, Answer, Prediction]], key: str | None, started: float
    ) -> None:
        rows = [write_row(live, *one, key, self._keep(live, one[0])) for one in described]
        for row in rows:
            row["latency_ms"] = (time.perf_counter() - started) * 1000
        self._record("predictions", rows)

    def _keep(self, live: LivePlan, asked: Asked) -> str | None:
        if not is_kept(live.plan, asked.request_id):
            return None
        return self.keeper.keep(live.plan.project, asked.request_id, asked.image, asked.data)

    def _record(self, kind: str, rows: list[dict[str, Any]]) -> None:
        try:
            self.recorder.append(kind, rows)
        except OSError as error:
            reason = f"the answer cannot be recorded: {error}"
            raise RefusedRequestError(
                503, "not_recorded", reason, "try again; free space on the server's disk"
            ) from error

    def _refuse_project(self, project: str) -> RefusedRequestError:
        known = {*self.plan.projects, *(path.stem for path in self._projects.glob("*.yaml"))}
        if project not in known:
            remedy = f"use one of: {', '.join(sorted(known))}"
            return RefusedRequestError(404, "unknown_project", f"there is no project {project[:80]!r}", remedy)
        state = self.plan.describe().get(project)
        reasons = "; ".join(state.rejected.values()) if state else ""
        reason = f"{project} has no release in service" + (f": {reasons}" if reasons else " yet")
        return RefusedRequestError(503, "no_release", reason, f"run {project}.deploy_model, then try again")
