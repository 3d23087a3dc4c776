"""torchvision's named data sets: `torchvision://CIFAR10?train=true`."""

import inspect
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from include.data.sources.facts import Label, Shot, name_group
from include.errors import ContractViolationError, ServiceUnavailableError
from include.project import SourceConfig

# What a data set is read from, and code: neither is the project file's to choose.
_RESERVED = {"self", "root", "download", "transform", "target_transform", "loader"}


def save_dataset(
    uri: str, source: SourceConfig, folder: Path, observed_at: datetime
) -> tuple[dict[str, Shot], dict[str, Label]]:
    """Write the images of a named data set as PNG files, downloading it where it is not made up.

    :param observed_at: When all of it counts as observed and known.
    :raises ContractViolationError: torchvision has no such data set of images with classes, or not with such options.
    :raises ServiceUnavailableError: it cannot be downloaded.
    """
    shots, labels = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        dataset = _open(uri, scratch)
        classes = getattr(dataset, "classes", None)
        for index in range(len(dataset)):
            image, target = dataset[index]
            if not _is_class(target):
                raise ContractViolationError(
                    f"{uri}: {target!r} of image {index} is no class; use a data set of classes"
                )
            name = f"{index:07d}.png"
            image.save(folder / name, "PNG")
            shots[name] = Shot(observed_at, name_group(source, name))
            labels[name] = Label(str(classes[int(target)] if classes else int(target)), observed_at)
    return shots, labels


def _is_class(target: Any) -> bool:
    try:
        return bool(int(target) == target)
    except (TypeError, ValueError):
        return False


def _open(uri: str, root: str) -> Any:
    from torchvision import datasets  # type: ignore[import-untyped]

    name, query = urlsplit(uri).netloc, urlsplit(uri).query
    kind = getattr(datasets, name, None) if name in datasets.__all__ else None
    if not (inspect.isclass(kind) and issubclass(kind, datasets.VisionDataset)):
        raise ContractViolationError(f"{uri}: torchvision has no data set {name!r}; its names are case-sensitive")
    known = inspect.signature(kind).parameters
    if "root" in known and "download" not in known:
        raise ContractViolationError(f"{uri}: {name} does not download itself; name its folder as the source")
    place = {"root": root, "download": True} if "root" in known else {}
    options = _read_options(uri, query, known)
    try:
        return kind(**place, **options)
    except (TypeError, ValueError) as error:
        raise ContractViolationError(f"{uri}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise ServiceUnavailableError(f"{uri} cannot be downloaded: {error}") from error


def _read_options(uri: str, query: str, known: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: yaml.safe_load(value) for key, value in parse_qsl(query)}
    if "train" in known and "split" not in known and "split" in options:
        options["train"] = options.pop("split") == "train"
    free = known.keys() - _RESERVED
    if unknown := sorted(options.keys() - free):
        raise ContractViolationError(f"{uri}: no option {', '.join(unknown)}; known are {', '.join(sorted(free))}")
    return options
