"""Keep a trained classifier as safetensors and JSON: nothing that executes when it is read."""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from pydantic import Field, TypeAdapter
from safetensors import SafetensorError, safe_open

from include.contracts import Contract, Digest
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import TrainingConfig
from include.storage import digest_bytes, write_atomically
from include.vision.networks import Classifier, build_classifier
from include.vision.onnx_network import OnnxNetwork
from include.vision.preprocessing import Preprocess
from include.vision.sheets import ImportConfig

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"
METADATA = "model"
GRAPH = "graph"


class ModelDescription(Contract):
    """What is needed to rebuild the network that weights belong to."""

    training: TrainingConfig
    classes: tuple[str, ...] = Field(min_length=2)


class GraphDescription(Contract):
    """What is needed to use an ONNX graph from elsewhere as a network."""

    sheet: ImportConfig


DESCRIPTIONS: TypeAdapter[ModelDescription | GraphDescription] = TypeAdapter(ModelDescription | GraphDescription)


def save_classifier(classifier: Classifier, training: TrainingConfig, classes: Sequence[str], folder: Path) -> Digest:
    """Write `weights.safetensors` and `model.json`; return the digest of the weights.

    The description is in the weights file too, so that one digest vouches for both.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
    description = ModelDescription(training=training, classes=tuple(classes)).model_dump_json(indent=2)
    return _save(tensors, description, folder)


def save_graph(graph: bytes, sheet: ImportConfig, folder: Path) -> Digest:
    """Write an imported ONNX graph in the same two files, its bytes as one tensor; return their digest."""
    data = torch.frombuffer(bytearray(graph), dtype=torch.uint8)
    return _save({GRAPH: data}, GraphDescription(sheet=sheet).model_dump_json(indent=2), folder)


def _save(tensors: dict[str, torch.Tensor], description: str, folder: Path) -> Digest:
    weights = safetensors.torch.save(tensors, metadata={METADATA: description})
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / DESCRIPTION, description.encode())
    return digest_bytes(weights)


def load_classifier(folder: Path) -> tuple[Classifier, tuple[str, ...]]:
    """Read a saved classifier, in evaluation mode, with its class names in the order of its outputs.

    :raises ArtifactNotFoundError: a file is missing.
    :raises ContractViolationError: a file is damaged, or the two do not belong together.
    """
    for name in (WEIGHTS, DESCRIPTION):
        if not (folder / name).is_file():
            raise ArtifactNotFoundError(f"no model in {folder}: {name} is missing; train it again")
    try:
        description, tensors = _read(folder)
        if isinstance(description, GraphDescription):
            return wrap_graph(tensors[GRAPH].numpy().tobytes(), description.sheet), description.sheet.classes
        classifier = build_classifier(description.training, len(description.classes))
        classifier.load_state_dict(tensors)
    except (KeyError, ValueError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:400]
        raise ContractViolationError(f"{folder} is not a saved model: {reason}; train it again") from error
    return classifier.eval(), description.classes


def wrap_graph(graph: bytes, sheet: ImportConfig) -> Classifier:
    """Put our preprocessing before an imported ONNX graph.

    :raises ContractViolationError: ONNX Runtime cannot load the graph.
    """
    classifier = Classifier(Preprocess(sheet.image_size), OnnxNetwork(graph, sheet), len(sheet.classes))
    classifier.preprocess.set_statistics(sheet.mean, sheet.std)
    return classifier.eval()


def _read(folder: Path) -> tuple[ModelDescription | GraphDescription, dict[str, torch.Tensor]]:
    text = (folder / DESCRIPTION).read_text()
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        if (file.metadata() or {}).get(METADATA) != text:
            raise ValueError(f"{DESCRIPTION} does not belong to {WEIGHTS}")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return DESCRIPTIONS.validate_json(text), tensors
