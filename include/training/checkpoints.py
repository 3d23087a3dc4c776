"""Keep what an unfinished training goes on from: one file in the store, safetensors and JSON, nothing that executes."""

import hashlib
import json
import logging
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LRScheduler

from include.contracts import Contract, Digest
from include.errors import ArtifactNotFoundError
from include.project import Project
from include.storage import Store
from include.training.epochs import Epoch
from include.vision.networks import Classifier

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
# The most that safetensors reads, too.
MAX_HEADER = 100_000_000
DIGEST_BYTES = hashlib.sha256().digest_size
MODEL, BEST, OPTIMIZER = "model.", "best.", "optimizer."
WRITTEN = "written_at"
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
        self.address = f"{project}/{FOLDER}/{key.removeprefix('sha256:')}"
        self.project, self.key = project, key
        self.store = store

    def save(self, progress: Progress) -> None:
        """Replace the checkpoint by one of this moment; a kill leaves the one before.

        :raises ServiceUnavailableError: the store does not answer.
        """
        state = progress.optimizer.state_dict()
        description = _Description(
            key=self.key,
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
        saved = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        data = safetensors.torch.save(saved, metadata={WRITTEN: datetime.now(UTC).isoformat()})
        self.store.write(self.address, hashlib.sha256(data).digest() + data)

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
        self.store.remove(self.address)

    def _read(self) -> tuple[_Description, Tensors]:
        written = self.store.read(self.address)
        data = written[DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != written[:DIGEST_BYTES]:
            raise ValueError(f"its {len(written)} bytes are not those that were written")
        # Copies, because views of the file's bytes are not aligned as torch aligns its own.
        tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load(data).items()}
        description = _Description.model_validate_json(tensors.pop(DESCRIPTION).numpy().tobytes())
        if (description.key, description.torch) != (self.key, torch.__version__):
            raise ValueError(f"it is of key {description.key} and torch {description.torch}, not {torch.__version__}")
        return description, tensors


def clean_checkpoints(project: Project, store: Store, older_than: datetime) -> tuple[str, ...]:
    """Remove checkpoints of trainings that never finished; return their addresses. Damaged ones go, whatever their age.

    :param older_than: Aware time; a training whose last epoch ended before it is given up.
    :raises ServiceUnavailableError: the store does not answer.
    """
    found = store.list(f"{project.name}/{FOLDER}")
    old = [address for address in found if not _is_newer(address, store, older_than)]
    for address in old:
        store.remove(address)
    return tuple(old)


def _is_newer(address: str, store: Store, moment: datetime) -> bool:
    """Tell whether a checkpoint was written at a moment or later, from its first bytes alone."""
    try:
        with store.open(address) as file:
            file.seek(DIGEST_BYTES)
            # As safetensors begins: the length of a header in JSON, and the header.
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, MAX_HEADER)))
        return datetime.fromisoformat(header["__metadata__"][WRITTEN]) >= moment
    except ArtifactNotFoundError:
        # Its training finished just now.
        return True
    except (struct.error, ValueError, KeyError, TypeError):
        return False


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
