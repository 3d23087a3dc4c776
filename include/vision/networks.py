"""Networks by name: `small_cnn` for small images, or any torchvision classifier."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.vision.preprocessing import Preprocess

SMALL_CNN = "small_cnn"
# These add a second head, used while training only, that the pipeline has no loss for.
TWO_HEADED = ("googlenet", "inception_v3")
# What torchvision raises for an image size that a network is not made for.
UNFIT = (AssertionError, RuntimeError, ValueError)


class Classifier(nn.Module):
    """Preprocessing and network as one model: uint8 [N, H, W, 3] in, float32 logits [N, classes] out."""

    def __init__(self, preprocess: Preprocess, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.preprocess = preprocess
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score one batch."""
        logits: torch.Tensor = self.network(self.preprocess(images))
        return logits

    def predict_probabilities(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 256) -> NDArray[np.float32]:
        """Classify images, uint8 [H, W, 3] of any sizes: float32 [len(images), classes], each row summing to 1.

        Where memory does not suffice for a batch, it is halved, and so are those after it.
        """
        self.eval()
        parts, start = [np.empty((0, self.classes), dtype=np.float32)], 0
        while start < len(images):
            batch = images[start : start + batch_size]
            try:
                parts.append(self._classify(batch))
            except (MemoryError, torch.OutOfMemoryError):
                if len(batch) == 1:
                    raise
                batch_size = len(batch) // 2
            else:
                start += len(batch)
        return np.concatenate(parts)

    @torch.inference_mode()
    def _classify(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        logits = self.network(self.preprocess.prepare(images))
        probabilities: NDArray[np.float32] = torch.softmax(logits, dim=1).cpu().numpy()
        return probabilities


def build_classifier(training: TrainingConfig, classes: int) -> Classifier:
    """Build an untrained classifier; its weights follow torch's random state, whatever `training.weights` names.

    :raises ContractViolationError: no such architecture, or it cannot take images of `training.image_size`.
    """
    if training.architecture == SMALL_CNN:
        network: nn.Module = _small_cnn(classes)
    else:
        network = _torchvision_network(training, classes)
    _set_dropout(network, training.dropout)
    classifier = Classifier(Preprocess(training.image_size), network, classes)
    _probe(classifier, training)
    return classifier


def _small_cnn(classes: int) -> nn.Sequential:
    return nn.Sequential(
        *_stage(3, 16),
        *_stage(16, 32),
        *_stage(32, 64),
        nn.Conv2d(64, 96, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(96),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(96, classes),
    )


def _stage(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """Halve the resolution, widen the features."""
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)


def _torchvision_network(training: TrainingConfig, classes: int) -> nn.Module:
    # A second of every task that loads a model; only its own networks need it.
    import torchvision  # type: ignore[import-untyped]

    name = training.architecture
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        close = get_close_matches(name, [SMALL_CNN, *known], n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"use {SMALL_CNN!r} or a torchvision classifier's name"
        raise ContractViolationError(f"training.architecture: no architecture {name!r}; {hint}")
    options: dict[str, Any] = {}
    if name in TWO_HEADED:
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": training.image_size}
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **options)
    except UNFIT as error:
        raise _unfit(training, error) from error
    return network


def find_head(network: nn.Module) -> str:
    """Name the layer that scores the classes: the last one with weights for each of them."""
    layers: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return layers[-1]


def _set_dropout(network: nn.Module, share: float) -> None:
    """Set the dropout before the head, not that inside the body, where an architecture has its own reasons."""
    head = find_head(network).split(".")[0]
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout) and name.split(".")[0] in {head, name}:
            module.p = share


def _probe(classifier: Classifier, training: TrainingConfig) -> None:
    """Run one blank image through: some architectures find out only then that images are too small for them."""
    blank = torch.zeros((1, training.image_size, training.image_size, 3), dtype=torch.uint8)
    try:
        with torch.no_grad():
            classifier.eval()(blank)
    except UNFIT as error:
        raise _unfit(training, error) from error
    classifier.train()


def _unfit(training: TrainingConfig, error: Exception) -> ContractViolationError:
    return ContractViolationError(
        f"training.architecture {training.architecture!r} cannot take images of {training.image_size} pixels: "
        f"{' '.join(str(error).split())}; change training.image_size or the architecture"
    )
