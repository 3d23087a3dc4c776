"""Logged traffic made of real digits, and the reference of the release that answered it."""

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.predictions import append_rows
from include.project import Project
from include.storage import Store, digest_bytes
from include.vision.statistics import image_statistics

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = START + timedelta(hours=1)
RELEASE = digest_bytes(b"release")

Rows = list[dict[str, object]]


@pytest.fixture(scope="session")
def digit_rows(digit_images) -> Rows:
    """What a release says of 400 digits: right, and quite sure."""
    sureness = np.random.default_rng(3).beta(20, 2, len(digit_images))
    return [
        image_statistics(image) | {"predicted": label, "confidence": float(sure)}
        for (image, label), sure in zip(digit_images, sureness, strict=True)
    ]


@pytest.fixture
def write_reference(store: Store, project: Project) -> Callable[[Rows], None]:
    """Give a function that publishes the reference profile of the release."""

    def write(rows: Rows) -> None:
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        folder = f"{project.name}/releases/{RELEASE.removeprefix('sha256:')}"
        store.write(f"{folder}/reference.parquet", buffer.getvalue())

    return write


@pytest.fixture
def log_traffic(store: Store, project: Project) -> Callable[..., None]:
    """Give a function that logs answered requests, one a second from `start`."""

    def log(rows: Sequence[dict[str, object]], *, start: datetime = START, release: str = RELEASE) -> None:
        logged = [
            row
            | {"request_id": f"{release[7:10]}-{start:%H%M}-{index}", "time": start + timedelta(seconds=index)}
            | {"project": project.name, "release": release, "model_version": 1, "probabilities": [], "latency_ms": 1.0}
            for index, row in enumerate(rows)
        ]
        append_rows(store, "predictions", f"{release[7:17]}-{start:%H%M}", logged)

    return log
