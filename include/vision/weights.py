"""Keep a trained classifier as safetensors and JSON: nothing that executes when it is read."""

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open

from include.contracts import Contract, Digest
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import TrainingConfig
from include.storage import digest_bytes, write_atomically
from include.vision.networks import Classifier, build_classifier

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"
METADATA = "model"


class ModelDescription(Contract):
    """What is needed to rebuild the network that weights belong to."""

    training: TrainingConfig
    classes: tuple[str, ...] = Field(min_length=2)


def save_classifier(classifier: Classifier, training: TrainingConfig, classes: Sequence[str], folder: Path) -> Digest:
    """Write `weights.safetensors` and `model.json`; return the digest of the weights.

    The description is in the weights file too, so that one digest vouches for both.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
    description = ModelDescription(training=training, classes=tuple(classes)).model_dump_json(indent=2)
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
        classifier = build_classifier(description.training, len(description.classes))
        classifier.load_state_dict(tensors)
    except (ValueError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:400]
        raise ContractViolationError(f"{folder} is not a saved model: {reason}; train it again") from error
    return classifier.eval(), description.classes


def _read(folder: Path) -> tuple[ModelDescription, dict[str, torch.Tensor]]:
    text = (folder / DESCRIPTION).read_text()
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        if (file.metadata() or {}).get(METADATA) != text:
            raise ValueError(f"{DESCRIPTION} does not belong to {WEIGHTS}")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return ModelDescription.model_validate_json(text), tensors
