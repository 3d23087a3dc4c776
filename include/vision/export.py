"""Export a trained classifier to ONNX, and measure whether the graph answers like it."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from PIL import Image
from torch import nn

from include.vision.networks import Classifier, find_head
from include.vision.onnx_network import OnnxNetwork, join_preprocessing
from include.vision.releases import (
    EMBEDDING_SIZE,
    GRAPH_EMBEDDING,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    run_graph,
    run_graph_with_embedding,
)

BATCH = 64
# Of the projection: every release sees an image in the same directions.
SEED = 20031
# Sides that no network takes as they are, so that the exporter cannot mistake one for a constant.
TRACED_SHAPE = (2, 41, 53, 3)

Images = Sequence[NDArray[np.uint8]]


class _Probabilities(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(images)
        return logits.softmax(dim=1)


class _Embedded(nn.Module):
    """Probabilities, and what the head is given: the penultimate features, float32 [N, up to 64].

    More features than that are projected on 64 random directions of signs, which keeps the distances between images:
    Achlioptas, Database-friendly random projections: Johnson-Lindenstrauss with binary coins, 2003.
    """

    directions: torch.Tensor | None

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.head = find_head(classifier.network)
        features = classifier.network.get_parameter(f"{self.head}.weight").shape[1]
        self.register_buffer("directions", _draw_directions(features) if features > EMBEDDING_SIZE else None)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        given: list[torch.Tensor] = []
        layer = self.classifier.network.get_submodule(self.head)
        watch = layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            logits = self.classifier(images)
        finally:
            watch.remove()
        features = given[0].flatten(2).mean(dim=2) if given[0].ndim > 2 else given[0]
        return logits.softmax(dim=1), features if self.directions is None else features @ self.directions


class _Prepared(nn.Module):
    def __init__(self, preprocess: nn.Module, network: OnnxNetwork) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.arrange(self.preprocess(images))


def export_graph(classifier: Classifier) -> bytes:
    """Export preprocessing, network and softmax as one graph: uint8 [N, H, W, 3] in, float32 [N, classes] out.

    A second output holds the embedding, float32 [N, up to 64]; imported ONNX graphs have none. The same weights give
    the same bytes.
    """
    network = classifier.network
    if isinstance(network, OnnxNetwork):
        graph = join_preprocessing(_trace(_Prepared(classifier.preprocess, network), ["pixels"]), network)
    else:
        graph = _trace(_Embedded(classifier), [GRAPH_OUTPUT, GRAPH_EMBEDDING])
    onnx.checker.check_model(graph, full_check=True)
    serialized: bytes = graph.SerializeToString(deterministic=True)
    return serialized


def _draw_directions(features: int) -> torch.Tensor:
    """Draw unit-length signs, float32 [features, 64], from bits that NumPy promises never to change."""
    words = np.random.PCG64(SEED).random_raw(features)
    signs = np.unpackbits(words.view(np.uint8)).reshape(features, EMBEDDING_SIZE).astype(np.float32) * 2 - 1
    return torch.from_numpy(signs / np.float32(np.sqrt(EMBEDDING_SIZE)))


def _trace(module: nn.Module, outputs: list[str]) -> onnx.ModelProto:
    with warnings.catch_warnings():
        # The exporter warns about its own deprecated calls, which nobody here can change.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(TRACED_SHAPE, dtype=torch.uint8),),
            dynamo=True,
            input_names=[GRAPH_INPUT],
            output_names=outputs,
            dynamic_shapes={"images": {axis: torch.export.Dim(name) for axis, name in enumerate(("N", "H", "W"))}},
            verbose=False,
        )
    assert program is not None  # noqa: S101
    # The exporter's stack traces name folders of this machine, so that the bytes would differ elsewhere.
    ClearMetadataAndDocStringPass()(program.model)
    return program.model_proto


def measure_parity(classifier: Classifier, graph: onnxruntime.InferenceSession, images: Images) -> float:
    """Return the largest absolute difference in probability between the trained model and its graph.

    The first ones are asked about once more, stretched to sizes that training has not seen.
    """
    model = _Probabilities(classifier).eval()
    worst = 0.0
    for batch in batch_by_size([*images, *map(_stretch, images[:BATCH])]):
        with torch.inference_mode():
            expected = model(torch.from_numpy(batch)).numpy()
        # A NaN would compare as no difference at all.
        worst = max(worst, float(np.nan_to_num(np.abs(run_graph(graph, batch) - expected), nan=np.inf).max()))
    return worst


def predict_all(
    graph: onnxruntime.InferenceSession, images: Images
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the graph's probabilities and embeddings of images, one image at a time as in service.

    :return: As `run_graph_with_embedding`.
    """
    probabilities, embeddings = zip(*(run_graph_with_embedding(graph, image[None]) for image in images), strict=True)
    return np.concatenate(probabilities), None if embeddings[0] is None else np.concatenate(embeddings)


def batch_by_size(images: Iterable[NDArray[np.uint8]]) -> Iterable[NDArray[np.uint8]]:
    """Gather images of one size into batches, uint8 [N, H, W, 3]."""
    by_size: dict[tuple[int, ...], list[NDArray[np.uint8]]] = {}
    for image in images:
        by_size.setdefault(image.shape, []).append(image)
    for same in by_size.values():
        for start in range(0, len(same), BATCH):
            yield np.stack(same[start : start + BATCH])


def _stretch(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    return np.array(Image.fromarray(image).resize((width + width // 2 + 1, max(1, height * 2 // 3))))
