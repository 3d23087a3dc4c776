"""Explain one answered image, where it was kept: what of it the answer rests on."""

import asyncio
import base64
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from include.errors import ArtifactNotFoundError
from include.predictions import PREDICTIONS
from include.serving.admission import Admission
from include.serving.refusals import Refusal, RefusedRequestError
from include.serving.service import REQUEST_ID
from include.storage import Store
from include.vision.decoding import decode_image
from include.vision.occlusion import draw_overlay, measure_occlusion, shrink
from include.vision.releases import open_graph, open_release, release_address

MODELS = ("champion", "candidate", "previous")
LOGGED = ("request_id", "release", "model_version", "predicted", "answered_by", "image")

router = APIRouter()
_turn = Admission(1, "explanations")


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


# One thread, behind whatever answers requests.
_thread = ThreadPoolExecutor(1, thread_name_prefix="explaining", initializer=_step_back)


class Explanation(BaseModel):
    """What an answer rests on."""

    model_config = ConfigDict(protected_namespaces=())

    request_id: str
    release: str = Field(description="Digest of the release that answered.")
    model_version: int
    predicted: str = Field(description="The answer that is explained.")
    probability: float = Field(description="Of that answer, with nothing covered; sides over 512 pixels are shrunk.")
    rows: list[int] = Field(description="Top of each window, in pixels.")
    columns: list[int] = Field(description="Left of each window, in pixels.")
    window: tuple[int, int] = Field(description="Height and width of the windows, in pixels.")
    drops: list[list[float]] = Field(
        description="By row and column: how far the probability falls when the window is covered with the mean colour."
    )
    overlay: str = Field(description="PNG as a data URI; red: speaks for the answer, blue: against it.")


@router.get(
    "/v1/explain/{request_id}",
    summary="Show what of an image its answer rests on",
    responses={
        200: {"content": {"image/png": {}}},
        **{status: {"model": Refusal} for status in (404, 409, 422, 429)},
    },
    response_model=Explanation,
    tags=["images"],
)
async def explain(
    request: Request,
    request_id: Annotated[str, Path(max_length=80)],
    form: Annotated[Literal["json", "png"], Query(alias="format", description="png: the overlay alone.")] = "json",
) -> Any:
    """Cover the image window by window and watch the answer; only where the project keeps images, one at a time."""
    with _turn.enter():
        store = request.app.state.settings.open_store()
        explanation = await asyncio.get_running_loop().run_in_executor(_thread, explain_answer, store, request_id)
    if form == "png":
        return Response(base64.b64decode(explanation.overlay.partition(",")[2]), media_type="image/png")
    return explanation


def explain_answer(store: Store, request_id: str) -> Explanation:
    """Explain one logged answer with the release that gave it.

    :raises RefusedRequestError: it is not in the log, its image was not kept, or no model gave it.
    """
    named = REQUEST_ID.fullmatch(request_id)
    if named is None:
        reason = f"{request_id!r} is no request_id of this service"
        raise RefusedRequestError(422, "bad_request_id", reason, "ask with the request_id that came with the answer")
    logged = _find_answer(store, named[1], request_id)
    try:
        data = store.read(logged["image"])
        bundle = open_release(store, release_address(named[1], logged["release"]))
    except ArtifactNotFoundError as error:
        raise RefusedRequestError(404, "not_kept", str(error), "ask about a younger answer") from error
    limits, classes = bundle.manifest.decoding, bundle.manifest.classes
    kept = limits.model_copy(update={"formats": (*limits.formats, "PNG"), "max_bytes": len(data)})
    image = shrink(decode_image(data, **kept.model_dump()))
    found = measure_occlusion(open_graph(bundle.graph), image, classes.index(logged["predicted"]))
    overlay = base64.b64encode(draw_overlay(image, found)).decode()
    return Explanation(
        request_id=request_id,
        **{name: logged[name] for name in ("release", "model_version", "predicted")},
        **found._replace(drops=found.drops.tolist())._asdict(),
        overlay=f"data:image/png;base64,{overlay}",
    )


def _find_answer(store: Store, project: str, request_id: str) -> dict[str, Any]:
    # The newest days first: people ask about what they have just seen.
    for address in sorted(store.list(f"{project}/predictions", "*.parquet"), reverse=True):
        try:
            content = pa.BufferReader(store.read(address))
        except ArtifactNotFoundError:
            # Joined with others since it was listed; asked again, the new file is found.
            continue
        asked = [("request_id", "=", request_id)]
        rows = pq.read_table(content, schema=PREDICTIONS, columns=list(LOGGED), filters=asked).to_pylist()
        if rows:
            return _require_explainable(rows[-1])
    reason = f"{request_id} is not in the prediction log, or not yet"
    raise RefusedRequestError(404, "unknown_request", reason, "an answer gets there within seconds; ask again then")


def _require_explainable(row: dict[str, Any]) -> dict[str, Any]:
    if row["answered_by"] not in MODELS:
        reason = f"no model gave this answer; it is by: {row['answered_by'] or 'a version that did not say'}"
        raise RefusedRequestError(
            409, "no_model", reason, "nothing in the image led to it; look at `failed` in the log"
        )
    if row["image"] is None:
        remedy = "set deployment.recording.image_share in the project file to keep images of answers to come"
        raise RefusedRequestError(404, "not_kept", "the image of this answer was not kept", remedy)
    return row
