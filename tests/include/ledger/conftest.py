"""Contracts small enough to read, for tables that only keep them."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from include.contracts import (
    DatasetRef,
    DriftReport,
    EvaluationReport,
    ModelRef,
    ModelVersionRef,
    PromotionDecision,
    ReleaseRef,
    ValidationReport,
)
from include.storage import digest_bytes

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def make_dataset() -> Callable[..., DatasetRef]:
    def make(version: int = 1, project: str = "digits") -> DatasetRef:
        digest = digest_bytes(f"dataset {version}".encode())
        address = f"{project}/images.lance"
        return DatasetRef(
            project=project, address=address, version=version, digest=digest, images=9 * version, labelled=9
        )

    return make


@pytest.fixture
def make_validation() -> Callable[..., ValidationReport]:
    def make(partition: str = "2026-03-01", accepted: int = 9, project: str = "digits") -> ValidationReport:
        return ValidationReport(
            project=project,
            partition=partition,
            address="staged",
            digest=digest_bytes(f"{partition} {accepted}".encode()),
            seen=accepted,
            accepted=accepted,
            duplicates=0,
            quarantined=0,
            success=True,
            data_docs="docs",
        )

    return make


@pytest.fixture
def make_model(make_dataset: Callable[..., DatasetRef]) -> Callable[..., ModelRef]:
    def make(name: str = "one", run_id: str = "run", project: str = "digits") -> ModelRef:
        key = digest_bytes(name.encode())
        return ModelRef(project=project, key=key, run_id=run_id, weights=key, dataset=make_dataset(project=project))

    return make


@pytest.fixture
def make_decision(make_model: Callable[..., ModelRef]) -> Callable[..., PromotionDecision]:
    def make(verdict: str = "promote") -> PromotionDecision:
        measured = dict.fromkeys(("accuracy", "macro_f1", "worst_class_recall"), 0.9)
        evaluation = EvaluationReport.model_validate(
            {
                **measured,
                "model": make_model(),
                "test_digest": digest_bytes(b"test"),
                "images": 10,
                "recall_by_class": {"0": 0.9},
                "accuracy_by_partition": {},
            }
        )
        return PromotionDecision.model_validate({"verdict": verdict, "candidate": evaluation, "reasons": (verdict,)})

    return make


@pytest.fixture
def make_release(make_model: Callable[..., ModelRef]) -> Callable[..., ReleaseRef]:
    def make(name: str, project: str = "digits") -> ReleaseRef:
        version = ModelVersionRef(model=make_model(name, project=project), version=1, accuracy=0.9)
        digest = digest_bytes(f"release {name}".encode())
        return ReleaseRef(model=version, address=f"{project}/releases/{name}", digest=digest, parity=0.0)

    return make


@pytest.fixture
def make_drift() -> Callable[..., DriftReport]:
    def make(verdict: str = "drift", project: str = "digits", summary: str = "drift: sharpness differs") -> DriftReport:
        window = {"project": project, "start": DAY, "end": DAY, "release": digest_bytes(b"release")}
        return DriftReport.model_validate({**window, "verdict": verdict, "predictions": 90, "summary": summary})

    return make
