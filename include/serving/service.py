"""What the serving process does with a request, apart from HTTP."""

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from include.ledger import Ledger
from include.serving.model import ServedModel
from include.serving.plan import ServingPlan
from include.serving.recorder import Recorder
from include.serving.refusals import RefusedRequestError, refuse_image
from include.settings import Settings
from include.vision.decoding import RejectedImageError

# The project leads, so that a label which comes weeks later needs no look-up to find its log.
REQUEST_ID = re.compile(r"([a-z][a-z0-9_]{0,39})-[0-9a-f]{32}")


class Prediction(BaseModel):
    """One answered image."""

    model_config = ConfigDict(protected_namespaces=())

    request_id: str = Field(description="Name of this answer; send it back with the label, once that is known.")
    project: str
    release: str = Field(description="Digest of the release that answered.")
    model_version: int
    predicted: str
    confidence: float
    probabilities: dict[str, float]


class Feedback(BaseModel):
    """What an answered image really showed."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(max_length=80)
    label: str = Field(min_length=1, max_length=200)


class Service:
    """Everything behind the endpoints of one serving process.

    :param settings: Locations; segments and the remembered plan lie below `home`.
    """

    def __init__(self, settings: Settings, threads: int) -> None:
        store = settings.open_store()
        folder = settings.home / "serving"
        self.plan = ServingPlan(Ledger(settings.ledger_uri), store, folder / "plan.json")
        self.recorder = Recorder(folder / "segments", store)
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._projects = settings.projects

    def choose_model(self, project: str | None) -> ServedModel:
        """Find the model to ask.

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
        model = self.plan.find_model(project)
        if model is None:
            raise self._refuse_project(project)
        return model

    def predict(self, model: ServedModel, data: bytes, started: float) -> Prediction:
        """Answer one image, and record the answer before anybody sees it.

        :param started: `time.perf_counter()` when the request arrived.
        """
        try:
            answer = model.answer(data)
        except RejectedImageError as error:
            raise refuse_image(error) from error
        prediction = Prediction(
            request_id=f"{model.manifest.project}-{uuid.uuid4().hex}",
            project=model.manifest.project,
            release=model.release.digest,
            model_version=model.manifest.model_version,
            predicted=answer.predicted,
            confidence=answer.confidence,
            probabilities=answer.probabilities,
        )
        row = {
            **prediction.model_dump(),
            "time": datetime.now(UTC),
            "probabilities": list(answer.probabilities.values()),
            "latency_ms": (time.perf_counter() - started) * 1000,
            **answer.statistics,
        }
        self._record("predictions", row)
        return prediction

    def accept(self, feedback: Feedback) -> None:
        """Record the true label of an answered image."""
        named = REQUEST_ID.fullmatch(feedback.request_id)
        if named is None:
            reason = f"{feedback.request_id!r} is no request_id of this service"
            raise RefusedRequestError(422, "bad_request_id", reason, "send the request_id that came with the answer")
        project = named[1]
        classes = self.choose_model(project).manifest.classes
        if feedback.label not in classes:
            reason = f"{feedback.label!r} is no class of {project}"
            raise RefusedRequestError(422, "unknown_label", reason, f"use one of: {', '.join(classes)}")
        self._record("feedback", {**feedback.model_dump(), "project": project, "time": datetime.now(UTC)})

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
