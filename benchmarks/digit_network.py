"""A network taught with photographed digits, as the graph that serves, and what it says of images."""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from examples.camera.lens import CLEAN_LENS, Lens, photograph
from include.project import TrainingConfig
from include.training.optimise import fit_classifier
from include.training.samples import Samples
from include.vision.export import export_graph
from include.vision.releases import open_graph, run_graph_with_embedding

BATCH = 64
EPOCHS = 12

Images = Sequence[NDArray[np.uint8]]


class Split(NamedTuple):
    """Images of one part of the specimens, uint8 RGB [32, 32, 3], with class and specimen of each."""

    images: list[NDArray[np.uint8]]
    labels: NDArray[np.int64]
    specimens: NDArray[np.int64]

    def take(self, places: NDArray[np.int64]) -> "Split":
        """Return the images at some places."""
        return Split([self.images[place] for place in places], self.labels[places], self.specimens[places])

    def show(self, images: Images) -> "Split":
        """Return other images of the same specimens."""
        return Split(list(images), self.labels, self.specimens)


class Answers(NamedTuple):
    """What a graph says of N images."""

    probabilities: NDArray[np.float32]  # [N, classes]
    embeddings: NDArray[np.float32]  # [N, 64]


def photograph_digits(seed: int) -> tuple[Split, Split, Split]:
    """Photograph each specimen once: 700 to train on, 300 to certify with, and the rest for traffic."""
    labels = load_digits().target.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(labels))
    whole = Split(take_pictures(order, CLEAN_LENS, seed), labels[order], order)
    first, second, third = (whole.take(np.arange(a, b)) for a, b in pairwise((0, 700, 1000, len(order))))
    return first, second, third


def take_pictures(specimens: NDArray[np.int64], lens: Lens, shot: int) -> list[NDArray[np.uint8]]:
    """Photograph specimens, uint8 RGB [32, 32, 3]."""
    files = (photograph(int(specimen), lens, shot) for specimen in specimens)
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files]


def teach(train: Split, validation: Split, epochs: int = EPOCHS) -> onnxruntime.InferenceSession:
    """Train the pipeline's small network on classes 0 to the largest of the labels, and export it."""
    samples = [Samples(split.images, torch.from_numpy(split.labels)) for split in (train, validation)]
    settings = TrainingConfig(epochs=epochs)
    classifier, _ = fit_classifier(settings, int(train.labels.max()) + 1, samples[0], samples[1], lambda _: None)
    return open_graph(export_graph(classifier))


def ask(graph: onnxruntime.InferenceSession, images: Images) -> Answers:
    """Answer images of one size."""
    batches = [np.stack(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    answers = [run_graph_with_embedding(graph, batch) for batch in batches]
    embeddings = [embedding for _, embedding in answers if embedding is not None]
    return Answers(np.concatenate([probabilities for probabilities, _ in answers]), np.concatenate(embeddings))
