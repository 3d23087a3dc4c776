"""Releases on record, processes that say that they follow the plan, and answers in the prediction log."""

from datetime import UTC, datetime

import pytest

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef, ReplicaReport
from include.ledger.plans import find_plan, record_replica
from include.ledger.releases import record_release
from include.predictions import append_rows
from include.storage import digest_bytes
from tests.include.serving.conftest import make_release

__all__ = ["make_release"]


@pytest.fixture
def release_of(ledger):
    """Record a release of a version."""

    def make(version: int) -> ReleaseRef:
        digest = digest_bytes(f"release {version}".encode())
        dataset = DatasetRef(
            project="digits", address="digits/images.lance", version=version, digest=digest, images=9, labelled=9
        )
        model = ModelRef(project="digits", key=digest, run_id="run", weights=digest, dataset=dataset)
        certified = ModelVersionRef(model=model, version=version, accuracy=0.9)
        release = ReleaseRef(model=certified, address=f"digits/releases/{digest[7:]}", digest=digest, parity=0)
        record_release(ledger, release)
        return release

    return make


@pytest.fixture
def follow(ledger):
    """Let serving processes report that they follow the newest plan, or an older one, or that they reject releases."""

    def report(*names: str, behind: int = 0, rejected: dict[str, str] | None = None) -> None:
        plan = find_plan(ledger, "digits")
        for name in names or ("serving-1", "serving-2"):
            said = ReplicaReport(
                name=name,
                address="/run/serving.sock",
                started_at=datetime(2026, 11, 1, tzinfo=UTC),
                revisions={"digits": plan.revision - behind},
                held={"digits": tuple(release.digest for release in plan.releases)},
                rejected={"digits": rejected or {}},
                source="ledger",
            )
            record_replica(ledger, said)

    return report


@pytest.fixture
def answer(ledger, store):
    """Log answers under the newest plan: so many of each side, and comparisons of both."""
    numbers = iter(range(1_000_000))

    def log(candidate: int = 0, champion: int = 0, *, failed: str | None = None, compared: int = 0, says="1") -> None:
        plan = find_plan(ledger, "digits")
        other, now = plan.candidate or plan.previous, datetime.now(UTC)
        shared = {"project": "digits", "time": now, "revision": plan.revision}
        turns = ["candidate"] * candidate + ["champion"] * champion
        asked = [
            shared
            | {
                "request_id": f"r{next(numbers)}",
                "variant": turn,
                "answered_by": turn,
                "predicted": "1",
                "confidence": 0.9,
            }
            | ({"failed": failed, "answered_by": "champion"} if turn == "candidate" and failed else {})
            for turn in turns
        ]
        both = [
            shared
            | {"request_id": f"r{next(numbers)}", "difference": 0.0}
            | {"champion_release": plan.champion.digest, "champion_predicted": "1", "champion_ms": 2.0}
            | {
                "other_release": other and other.digest,
                "other_predicted": says,
                "other_ms": 2.0 + position % 2 * 0.1 - 0.05,
            }
            for position in range(compared)
        ]
        append_rows(store, "predictions", f"p{next(numbers)}", asked)
        append_rows(store, "comparisons", f"c{next(numbers)}", both)

    return log
