"""Models as other people export them."""

import io
import warnings
from pathlib import Path

import torch
import yaml
from torch import nn

from include.project import TrainingConfig
from include.vision.networks import build_classifier
from include.vision.sheets import ImportConfig

SIDE = 32
SHEET = {
    "image_size": SIDE,
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.3, 0.25],
    "classes": list("0123456789"),
    "trained_by": "the laboratory next door",
    "trained_on": "their own scans; none of our images",
}


def make_sheet(**changes) -> ImportConfig:
    return ImportConfig.model_validate(SHEET | changes)


def make_network(classes: int = 10) -> nn.Module:
    """The network of the small CNN, untrained, without our preprocessing."""
    torch.manual_seed(5)
    return build_classifier(TrainingConfig(), classes).network.eval()


def export_onnx(network: nn.Module, shape=(3, SIDE, SIDE), *, opset: int = 17, dynamic: bool = True, inputs: int = 1):
    """Export as most tutorials do; under our own names, so that joining has to tell them apart."""
    buffer = io.BytesIO()
    names = {"input_names": ["images"], "output_names": ["probabilities"]} if inputs == 1 else {}
    axes = {name: {0: "batch"} for name in ("images", "probabilities")} if dynamic and inputs == 1 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, tuple(torch.zeros(2, *shape) for _ in range(inputs)), buffer, dynamo=False, opset_version=opset,
            dynamic_axes=axes, **names,
        )  # fmt: skip
    return buffer.getvalue()


def deliver_model(folder: Path, name: str, data: bytes, **changes) -> Path:
    """Write a model file and its sheet beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    (folder / name).with_suffix(".yaml").write_text(yaml.safe_dump(SHEET | changes))
    return folder / name
