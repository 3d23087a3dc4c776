"""Start from weights that were learned on other images: torchvision's by name, or those of a local file."""

import hashlib
import re
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import TrainingConfig
from include.vision.networks import SMALL_CNN, Classifier, find_head

SUFFIX = ".safetensors"
# How this project's own models name the tensors of their network.
OWN_PREFIX = "network."
# Second heads, used while training only, that the networks here do not have.
UNUSED = re.compile(r"^(aux\d|AuxLogits)\.")
# Files older than this counter do without it.
UNCOUNTED = re.compile(r"num_batches_tracked$")
# torchvision's DenseNet files use names that today's network no longer has.
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
# As torchvision names its files: the start of the SHA-256 of what is in them.
NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,})\.pth$")

Tensors = dict[str, torch.Tensor]


def load_pretrained(classifier: Classifier, training: TrainingConfig) -> None:
    """Put the weights that `training.weights` names into a classifier; its head, made for our classes, stays as it is.

    A warm start takes the head, too: the weights are those of a model of the same classes.

    :raises ArtifactNotFoundError: the file is not here, and could not be fetched.
    :raises ContractViolationError: the weights are damaged, or belong to another architecture.
    """
    if not training.weights:
        return
    from_file = training.weights.endswith(SUFFIX)
    tensors = _read_file(_find_file(training.weights)) if from_file else _read_named(training)
    network = classifier.network
    left = () if training.mode == "warm_start" else (f"{find_head(network)}.",)
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(left)}
    given = {name: tensor for name, tensor in tensors.items() if not name.startswith(left)}
    unlike = [name for name in sorted(own.keys() | given.keys()) if not _fits(own.get(name), given.get(name), name)]
    if unlike:
        raise ContractViolationError(
            f"training.weights {training.weights!r} do not fit architecture {training.architecture!r} with images of "
            f"{training.image_size} pixels: {len(unlike)} tensors differ, like {unlike[0]!r}; change training.weights, "
            "training.architecture or training.image_size"
        )
    network.load_state_dict(given, strict=False)


def digest_pretrained(training: TrainingConfig) -> str:
    """Name what `training.weights` stands for by content, for a candidate's key; empty without.

    :raises ArtifactNotFoundError: the local file is not here.
    :raises ContractViolationError: torchvision has no such weights.
    """
    if not training.weights:
        return ""
    if training.weights.endswith(SUFFIX):
        return hashlib.sha256(_find_file(training.weights).read_bytes()).hexdigest()
    return _find_url(training).rpartition("/")[2]


def _fits(own: torch.Tensor | None, given: torch.Tensor | None, name: str) -> bool:
    if own is None or given is None:
        return bool((UNUSED if own is None else UNCOUNTED).search(name))
    return own.shape == given.shape


def _find_file(name: str) -> Path:
    path = Path(name)
    if not path.is_absolute():
        raise ContractViolationError(
            f"training.weights {name!r} is a relative path, which means another file in every process; write all of it"
        )
    if not path.is_file():
        raise ArtifactNotFoundError(f"training.weights: no file {path}; put it there, on every machine that trains")
    return path


def _read_file(path: Path) -> Tensors:
    try:
        tensors = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ContractViolationError(f"training.weights: {path} is damaged or no safetensors file: {error}") from error
    own = {name.removeprefix(OWN_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(OWN_PREFIX)}
    return own or tensors


def _read_named(training: TrainingConfig) -> Tensors:
    url = _find_url(training)
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        _download(url, path, training)
    named = NAMED_DIGEST.search(path.name)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if named and not found.startswith(named[1]):
        raise ContractViolationError(f"{path} is damaged: its SHA-256 is {found}; delete it, it is fetched again")
    # Tensors only: nothing in the file is executed.
    tensors: Tensors = torch.load(path, map_location="cpu", weights_only=True)
    return {OLD_NAME.sub(r"\1\2.", name): tensor for name, tensor in tensors.items()}


def _find_url(training: TrainingConfig) -> str:
    if training.architecture == SMALL_CNN:
        raise ContractViolationError(
            f"training.weights: there are none named {training.weights!r} for {SMALL_CNN}; name a {SUFFIX} file, or a "
            "torchvision architecture"
        )
    from torchvision.models import get_model_weights  # type: ignore[import-untyped]

    known = get_model_weights(training.architecture)
    if training.weights not in known.__members__:
        raise ContractViolationError(
            f"training.weights: {training.architecture} has no weights named {training.weights!r}, but "
            f"{', '.join(known.__members__)}; or name a {SUFFIX} file"
        )
    return str(known[training.weights].url)


def _download(url: str, path: Path, training: TrainingConfig) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = NAMED_DIGEST.search(path.name)
    try:
        torch.hub.download_url_to_file(url, str(path), named[1] if named else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise ArtifactNotFoundError(
            f"training.weights {training.weights!r} of {training.architecture} could not be fetched: {error}; on a "
            f"machine without network, put {path.name} from {url} into {path.parent}"
        ) from error
