"""Name a training by everything that determines its result, so that a retry finds what is there."""

import json
import os
import platform
from pathlib import Path

import torch

from include.contracts import DatasetRef, Digest
from include.project import Project
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.vision.pretrained import digest_pretrained

SOURCES = ("training", "vision")
# What looks at data or at finished models; training does not run it.
UNRELATED = frozenset(
    {
        *("training/giveaways.py", "training/importing.py", "training/reproduction.py", "training/shortcuts.py"),
        "training/occasions.py",
        *("vision/certificates.py", "vision/export.py", "vision/foreign.py", "vision/graphs.py"),
    }
)
LOCK = REPOSITORY / "requirements.lock"


def candidate_key(project: Project, dataset: DatasetRef) -> Digest:
    """Digest of (project, dataset, code, configuration, seed)."""
    parts = {
        "project": project.name,
        "dataset": dataset.digest,
        "code": digest_code(),
        "configuration": digest_configuration(project),
        "seed": project.training.seed,
        "weights": digest_pretrained(project.training),
    }
    return digest_bytes(json.dumps(parts, sort_keys=True).encode())


def digest_configuration(project: Project) -> Digest:
    """Digest of the settings that training reads; a changed promotion policy needs no new model."""
    settings = {
        "classes": project.classes,
        "training": project.training.model_dump(mode="json"),
        "near_duplicate_bits": project.data.near_duplicate_bits,
    }
    return digest_bytes(json.dumps(settings, sort_keys=True).encode())


def digest_code(root: Path = REPOSITORY / "include") -> Digest:
    """Digest of the sources that turn a dataset into weights."""
    found = {path.relative_to(root).as_posix() for folder in SOURCES for path in (root / folder).glob("*.py")}
    listing = "\n".join(f"{name} {digest_bytes((root / name).read_bytes())}" for name in sorted(found - UNRELATED))
    return digest_bytes(listing.encode())


def describe_environment(project: Project) -> dict[str, str]:
    """Name what weights depend on besides data, code and settings, as tags of a run; `reproduce` compares them."""
    return {
        "windhover.configuration": digest_configuration(project),
        "windhover.near_duplicate_bits": str(project.data.near_duplicate_bits),
        "windhover.lock": digest_bytes(LOCK.read_bytes()) if LOCK.is_file() else "none",
        "windhover.python": platform.python_version(),
        "windhover.torch": torch.__version__,
        "windhover.processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "windhover.accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "windhover.cores": str(len(os.sched_getaffinity(0))),
    }
