"""Keep what an unfinished training goes on from: one file in the store, safetensors and JSON, nothing that executes."""

import hashlib
import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LRScheduler

from include.contracts import Contract, Digest
from include.errors import ArtifactNotFoundError
from include.storage import Store
from include.training.epochs import Epoch
from include.vision.networks import Classifier

logger = logging.getLogger(__name__)

DIGEST_BYTES = hashlib.sha256().digest_size
MODEL, BEST, OPTIMIZER = "model.", "best.", "optimizer."
RANDOM, RANDOM_GPU, DESCRIPTION = "random", "random_gpu", "description"
Tensors = dict[str, torch.Tensor]


@dataclass
class Progress:
    """A training between two epochs."""

    classifier: Classifier
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    device: torch.device
    epochs: list[Epoch] = field(default_factory=list)
    best_weights: Tensors = field(default_factory=dict)

    @property
    def best(self) -> Epoch:
        """The first of the best epochs so far."""
        return max(self.epochs, key=lambda epoch: epoch.rank)


class _Description(Contract):
    """The part of a checkpoint that is no tensor."""

    key: Digest
    torch: str
    epochs: tuple[Epoch, ...]
    groups: tuple[dict[str, Any], ...]
    schedule: dict[str, Any]


class Checkpoints:
    """The newest checkpoint of one training, in the store so that another machine can go on from it.

    :param project: Name of the project.
    :param key: The candidate's; a checkpoint of other data, code or settings is another one's.
    """

    def __init__(self, store: Store, project: str, key: Digest) -> None:
        self.address = f"{project}/checkpoints/{key.removeprefix('sha256:')}"
        self._store = store
        self._key = key

    def save(self, progress: Progress) -> None:
        """Replace the checkpoint by one of this moment; a kill leaves the one before.

        :raises ServiceUnavailableError: the store does not answer.
        """
        state = progress.optimizer.state_dict()
        description = _Description(
            key=self._key,
            torch=torch.__version__,
            epochs=tuple(progress.epochs),
            groups=tuple(state["param_groups"]),
            schedule=progress.schedule.state_dict(),
        )
        tensors = _prefix(progress.classifier.state_dict(), MODEL)
        if progress.best is not progress.epochs[-1]:
            tensors |= _prefix(progress.best_weights, BEST)
        for index, values in state["state"].items():
            tensors |= _prefix(values, f"{OPTIMIZER}{index}.")
        tensors |= _read_random_state(progress.device)
        tensors[DESCRIPTION] = torch.from_numpy(np.frombuffer(description.model_dump_json().encode(), np.uint8).copy())
        data = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
        self._store.write(self.address, hashlib.sha256(data).digest() + data)

    def restore(self, progress: Progress) -> bool:
        """Put a training that has not begun to where the checkpoint was written, random state included.

        One that is damaged, or of another torch, counts as none.

        :returns: Whether there was one.
        :raises ServiceUnavailableError: the store does not answer.
        """
        try:
            description, tensors = self._read()
        except ArtifactNotFoundError:
            return False
        except (SafetensorError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            logger.warning("checkpoint %s is ignored, the training starts anew: %s", self.address, reason)
            return False
        progress.classifier.load_state_dict(_select(tensors, MODEL))
        progress.optimizer.load_state_dict(_describe_optimizer(description, tensors))
        progress.schedule.load_state_dict(description.schedule)
        progress.epochs = list(description.epochs)
        progress.best_weights = _select(tensors, BEST) or _select(tensors, MODEL)
        _write_random_state(tensors, progress.device)
        logger.info("going on after epoch %d, from checkpoint %s", progress.epochs[-1].number, self.address)
        return True

    def remove(self) -> None:
        """Delete the checkpoint, if there is one: its training is over."""
        self._store.remove(self.address)

    def _read(self) -> tuple[_Description, Tensors]:
        written = self._store.read(self.address)
        data = written[DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != written[:DIGEST_BYTES]:
            raise ValueError(f"its {len(written)} bytes are not those that were written")
        # Copies, because views of the file's bytes are not aligned as torch aligns its own.
        tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load(data).items()}
        description = _Description.model_validate_json(tensors.pop(DESCRIPTION).numpy().tobytes())
        if (description.key, description.torch) != (self._key, torch.__version__):
            raise ValueError(f"it is of key {description.key} and torch {description.torch}, not {torch.__version__}")
        return description, tensors


def _prefix(tensors: Tensors, prefix: str) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _select(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _describe_optimizer(description: _Description, tensors: Tensors) -> dict[str, Any]:
    state: dict[int, Tensors] = {}
    for name, tensor in _select(tensors, OPTIMIZER).items():
        index, _, value = name.partition(".")
        state.setdefault(int(index), {})[value] = tensor
    return {"state": state, "param_groups": list(description.groups)}


def _read_random_state(device: torch.device) -> Tensors:
    states = {RANDOM: torch.get_rng_state()}
    return states | ({RANDOM_GPU: torch.cuda.get_rng_state()} if device.type == "cuda" else {})


def _write_random_state(tensors: Tensors, device: torch.device) -> None:
    torch.set_rng_state(tensors[RANDOM])
    if device.type == "cuda" and RANDOM_GPU in tensors:
        torch.cuda.set_rng_state(tensors[RANDOM_GPU])
