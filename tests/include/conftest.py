"""A small published dataset of real digits, and a place for downloaded models."""

import hashlib
import socket
from collections.abc import Callable, Iterator

import lance
import pyarrow as pa
import pytest

from include.contracts import DatasetRef
from include.project import Project
from include.tracking import Tracking
from include.vision.images import digest_rows
from include.vision.schema import IMAGES
from tests.include.rows import make_row

PARTITIONS = ("2026-03-01", "2026-03-02")


def deal_split(index: int) -> str:
    """One image in four for test, one in eight for validation, the rest for training."""
    return {0: "test", 4: "test", 1: "validation"}.get(index % 8, "train")


@pytest.fixture
def publish(store, quick_project) -> Callable[..., DatasetRef]:
    """Write (image, label) pairs as one version of the quick project's dataset."""

    def write(pairs, split=deal_split) -> DatasetRef:
        rows = [
            make_row(image, label, index, split=split(index), partition=PARTITIONS[index // 8 % len(PARTITIONS)])
            for index, (image, label) in enumerate(pairs)
        ]
        address = f"{quick_project.name}/images.lance"
        table = pa.Table.from_pylist(rows, schema=IMAGES)
        mode = "overwrite" if store.exists(address) else "create"
        version = lance.write_dataset(table, store.uri(address), mode=mode).version
        return DatasetRef(
            project=quick_project.name,
            address=address,
            version=version,
            digest=digest_rows(table),
            images=len(rows),
            labelled=sum(label is not None for _, label in pairs),
        )

    return write


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
