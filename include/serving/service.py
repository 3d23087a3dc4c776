"""What the serving process does with a request, apart from HTTP."""

import re
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from include.contracts import Variant
from include.ledger import Ledger
from include.serving.comparing import Comparer
from include.serving.crew import Crew
from include.serving.engine import Engine
from include.serving.fallback import Answer, find_answer
from include.serving.heartbeat import Heartbeat
from include.serving.keeping import ImageKeeper
from include.serving.plan import LivePlan, ServingPlan
from include.serving.recorder import Recorder
from include.serving.refusals import RefusedRequestError, refuse_image
from include.serving.routing import choose_variant, digest_key, is_compared, is_kept
from include.settings import Settings
from include.storage import Store
from include.vision.decoding import SIGNATURES, RejectedImageError
from include.vision.statistics import image_statistics

# The project leads, so that a label which comes weeks later needs no look-up to find its log.
REQUEST_ID = re.compile(r"([a-z][a-z0-9_]{0,39})-[0-9a-f]{32}")


class Prediction(BaseModel):
    """One answered image."""

    model_config = ConfigDict(protected_namespaces=())

    request_id: str = Field(description="Name of this answer; send it back with the label, once that is known.")
    project: str
    release: str = Field(description="Digest of the release that answered, or whose classes' shares did.")
    model_version: int
    revision: int = Field(description="Of the release plan that was followed.")
    variant: Variant = Field(description="Whose turn it was.")
    answered_by: Variant = Field(description="Who answered; another one where that model failed.")
    predicted: str | None = Field(description="None where nobody could answer; ask a person.")
    reason: str | None = Field(default=None, description="Why nobody answered; None where somebody did.")
    confidence: float | None
    probabilities: dict[str, float]


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

    async def predict(self, project: str | None, data: bytes, key: str | None, started: float) -> Prediction:
        """Answer one image file, and record the answer before anybody sees it.

        :param key: The caller's name for whoever it asks for; with a sticky plan, one key meets one release.
        :param started: `time.perf_counter()` when the request arrived.
        :raises RefusedRequestError: no release, no acceptable image, or the answer cannot be recorded.
        """
        live = self.find_live(project)
        try:
            image = await self.engine.decode(data, live.champion.manifest.decoding)
        except RejectedImageError as error:
            raise refuse_image(error) from error
        return await self.answer(live, image, data, key, started)

    async def answer(
        self, live: LivePlan, image: NDArray[np.uint8], data: bytes | None, key: str | None, started: float
    ) -> Prediction:
        """Answer one decoded image, uint8 [H, W, 3], and record the answer before anybody sees it.

        :param live: As `find_live` gave it; what is followed meanwhile makes no difference to this request.
        :param data: The file it was decoded from, where there was one.
        :raises RefusedRequestError: the answer cannot be recorded.
        """
        request_id = f"{live.plan.project}-{uuid.uuid4().hex}"
        turn = choose_variant(live.plan, request_id, key)
        answer = await find_answer(live, turn, lambda model: self.engine.run(model, image))
        prediction = _describe(request_id, live, turn, answer)
        record = (prediction, live, answer, image, data, key, started)
        await self._recorders.begin(partial(self._record_answer, *record)).result
        if is_compared(live.plan, request_id):
            self.comparer.offer(live, request_id, image)
        return prediction

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
        await self._recorders.begin(partial(self._record, "feedback", row)).result

    def _record_answer(
        self,
        prediction: Prediction,
        live: LivePlan,
        answer: Answer,
        image: NDArray[np.uint8],
        data: bytes | None,
        key: str | None,
        started: float,
    ) -> None:
        project, request_id = prediction.project, prediction.request_id
        output = answer.output or answer.withheld
        said = prediction
        if answer.withheld:
            # Monitoring has to see these images, too, and the model's own answers to them.
            said = _describe(request_id, live, prediction.variant, answer._replace(output=output))
        embedding = output.embedding if output and live.plan.recording.embeddings else None
        kept = self.keeper.keep(project, request_id, image, data) if is_kept(live.plan, request_id) else None
        row = {
            **said.model_dump(exclude={"reason"}),
            "time": datetime.now(UTC),
            "probabilities": list(said.probabilities.values()),
            "failed": answer.failed,
            "key": None if key is None else digest_key(project, key),
            "embedding": None if embedding is None else embedding.tolist(),
            "ood": output and output.ood,
            "image": kept,
            "format": None if data is None else _name_format(data),
            "bytes": None if data is None else len(data),
            **image_statistics(image),
            "latency_ms": (time.perf_counter() - started) * 1000,
        }
        self._record("predictions", row)

    def _record(self, kind: str, row: dict[str, Any]) -> None:
        try:
            self.recorder.append(kind, row)
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


def _name_format(data: bytes) -> str | None:
    return next((name for name, signature in SIGNATURES.items() if data.startswith(signature)), None)


def _describe(request_id: str, live: LivePlan, turn: Variant, answer: Answer) -> Prediction:
    manifest, output = answer.model.manifest, answer.output
    probabilities = {} if output is None else dict(zip(manifest.classes, output.probabilities.tolist(), strict=True))
    predicted = max(probabilities, key=lambda name: probabilities[name], default=None)
    return Prediction(
        request_id=request_id,
        project=live.plan.project,
        release=answer.model.release.digest,
        model_version=manifest.model_version,
        revision=live.plan.revision,
        variant=turn,
        answered_by=answer.answered_by,
        reason=answer.silence,
        predicted=predicted,
        confidence=None if predicted is None else probabilities[predicted],
        probabilities=probabilities,
    )
