"""A small published dataset of real digits, and a place for downloaded models."""

import hashlib
import io
import socket
from collections.abc import Callable, Iterator

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from include.contracts import DatasetRef
from include.project import Project
from include.tracking import Tracking
from include.vision.images import digest_rows

PARTITIONS = ("2026-03-01", "2026-03-02")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("digest", "partition", "group", "label", "split", "source")),
        ("image", pa.large_binary()),
    ]
)


def deal_split(index: int) -> str:
    """One image in four for test, one in eight for validation, the rest for training."""
    return {0: "test", 4: "test", 1: "validation"}.get(index % 8, "train")


@pytest.fixture
def publish(store, quick_project) -> Callable[..., DatasetRef]:
    """Write (image, label) pairs as one version of the quick project's dataset."""

    def write(pairs, split=deal_split) -> DatasetRef:
        rows = [describe(index, image, label, split(index)) for index, (image, label) in enumerate(pairs)]
        address = f"{quick_project.name}/images.lance"
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        path = store.path(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        version = lance.write_dataset(table, str(path), mode="overwrite" if path.exists() else "create").version
        return DatasetRef(
            project=quick_project.name,
            address=address,
            version=version,
            digest=digest_rows(table),
            images=len(rows),
            labelled=sum(label is not None for _, label in pairs),
        )

    return write


def describe(index: int, image: np.ndarray, label: str | None, split: str) -> dict[str, object]:
    """One row of the image store."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return {
        "digest": f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}",
        "image": buffer.getvalue(),
        "partition": PARTITIONS[index // 8 % len(PARTITIONS)],
        "group": str(index),
        "label": label,
        "split": split,
        "source": f"images/{index}.png",
    }


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Home folder of this test's machine."""
    monkeypatch.setenv("WINDHOVER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tracking(mlflow_uri, home) -> Tracking:
    """The MLflow server."""
    return Tracking(mlflow_uri)


@pytest.fixture
def dead_tracking(home) -> Iterator[Tracking]:
    """An MLflow server that is not there: its port is held, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Tracking(f"http://127.0.0.1:{held.getsockname()[1]}")


@pytest.fixture
def quick_project(project, mlflow_uri, request) -> Project:
    """The digits project, trained for a moment, under a name that no other test has used in MLflow."""
    name = f"digits_{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"
    training = project.training.model_copy(update={"epochs": 3, "min_images": 10})
    return project.model_copy(update={"name": name, "training": training})
