"""A release as MLflow serves one: base64 of image files in, answers out; MLflow runs this file."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from include.project import TrainingConfig
from include.vision.decoding import decode_image
from include.vision.releases import GRAPH, MANIFEST, ReleaseManifest, open_graph, run_graph

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class JpegModel(PythonModel):
    """The same decoder as the serving process, and the same graph; or the network it was exported from, in torch."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle, or build the network."""
        folder = Path(context.artifacts["release"])
        self.manifest = ReleaseManifest.model_validate_json((folder / MANIFEST).read_bytes())
        graph = open_graph(folder / GRAPH)
        self.run: Run = lambda images: run_graph(graph, images)
        if context.model_config["training"]:
            self.run = _build_network(TrainingConfig.model_validate(context.model_config["training"]))

    def predict(self, context: PythonModelContext, model_input: list[str]) -> list[dict[str, Any]]:
        """Answer images one by one."""
        return [self._answer(base64.b64decode(encoded)) for encoded in model_input]

    def _answer(self, data: bytes) -> dict[str, Any]:
        image = decode_image(data, **self.manifest.decoding.model_dump())
        probabilities = self.run(image[None])[0]
        named = dict(zip(self.manifest.classes, probabilities.tolist(), strict=True))
        return {"predicted": self.manifest.classes[int(probabilities.argmax())], "probabilities": named}


def _build_network(training: TrainingConfig) -> Run:
    import torch

    from include.vision.networks import build_classifier

    classifier = build_classifier(training, 10)
    # A core belongs to all servers together; the threads of one would only wait for each other.
    torch.set_num_threads(1)
    return lambda images: classifier.predict_probabilities(list(images))


set_model(JpegModel())
