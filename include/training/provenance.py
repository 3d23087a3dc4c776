"""Name a training by everything that determines its result, so that a retry finds what is there."""

import json
from pathlib import Path

from include.contracts import DatasetRef, Digest
from include.project import Project
from include.settings import REPOSITORY
from include.storage import digest_bytes

SOURCES = ("training", "vision")


def candidate_key(project: Project, dataset: DatasetRef) -> Digest:
    """Digest of (project, dataset, code, configuration, seed)."""
    parts = {
        "project": project.name,
        "dataset": dataset.digest,
        "code": digest_code(),
        "configuration": digest_configuration(project),
        "seed": project.training.seed,
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
    files = sorted(path for folder in SOURCES for path in (root / folder).glob("*.py"))
    listing = "\n".join(f"{path.relative_to(root).as_posix()} {digest_bytes(path.read_bytes())}" for path in files)
    return digest_bytes(listing.encode())
