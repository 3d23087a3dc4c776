"""One answered image: what whoever asked is told, and what is logged of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from include.contracts import Variant
from include.serving.fallback import Answer
from include.serving.model import Output, ServedModel
from include.serving.plan import LivePlan
from include.serving.routing import Turn, digest_key
from include.vision.decoding import SIGNATURES
from include.vision.statistics import image_statistics

if TYPE_CHECKING:
    import asyncio


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


class Asked(NamedTuple):
    """One image on its way to an answer."""

    request_id: str
    turn: Turn
    image: NDArray[np.uint8]
    data: bytes | None  # the file that it was decoded from, where there was one
    model: ServedModel  # whose turn it is
    first: "asyncio.Future[Output]"  # what that model says


def describe(asked: Asked, live: LivePlan, answer: Answer) -> Prediction:
    """Return what whoever asked is told."""
    manifest, output = answer.model.manifest, answer.output
    probabilities = {} if output is None else dict(zip(manifest.classes, output.probabilities.tolist(), strict=True))
    predicted = max(probabilities, key=lambda name: probabilities[name], default=None)
    return Prediction(
        request_id=asked.request_id,
        project=live.plan.project,
        release=answer.model.release.digest,
        model_version=manifest.model_version,
        revision=live.plan.revision,
        variant=asked.turn,
        answered_by=answer.answered_by,
        reason=answer.silence,
        predicted=predicted,
        confidence=None if predicted is None else probabilities[predicted],
        probabilities=probabilities,
    )


def write_row(
    live: LivePlan, asked: Asked, answer: Answer, prediction: Prediction, key: str | None, kept: str | None
) -> dict[str, Any]:
    """Return what is logged of an answered image, all but its latency.

    :param kept: Where the image will be found, if it is kept.
    """
    output, said, data = answer.output or answer.withheld, prediction, asked.data
    if answer.withheld:
        # Monitoring has to see these images, too, and the model's own answers to them.
        said = describe(asked, live, answer._replace(output=output))
    embedding = output.embedding if output and live.plan.recording.embeddings else None
    return {
        **said.model_dump(exclude={"reason"}),
        "time": datetime.now(UTC),
        "probabilities": list(said.probabilities.values()),
        "failed": answer.failed,
        "key": None if key is None else digest_key(prediction.project, key),
        "embedding": None if embedding is None else embedding.tolist(),
        "ood": output and output.ood,
        "image": kept,
        "format": None if data is None else _name_format(data),
        "bytes": None if data is None else len(data),
        **image_statistics(asked.image),
    }


def _name_format(data: bytes) -> str | None:
    return next((name for name, signature in SIGNATURES.items() if data.startswith(signature)), None)
