"""One project with everything its stages need: the order of the stages, without Airflow."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from include.contracts import DatasetRef, DriftReport, ModelRef, ModelVersionRef, PromotionDecision, ReleaseRef
from include.errors import ArtifactNotFoundError, ContractViolationError, RolloutFailedError, ServiceUnavailableError
from include.ledger import Ledger
from include.ledger.models import find_decision, find_latest_candidate, find_model_version, record_decision
from include.project import Project, load_project
from include.settings import Settings, load_settings
from include.storage import Store
from include.tracking import Tracking

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Workplace:
    """A project, and the places this machine keeps its things in."""

    project: Project
    settings: Settings
    store: Store
    ledger: Ledger
    tracking: Tracking

    @classmethod
    def open(cls, name: str) -> Self:
        """Read the project file and the environment; nothing connects yet."""
        settings = load_settings()
        if not settings.ledger_uri:
            raise ContractViolationError(
                "WINDHOVER_LEDGER_URI is not set; for the embedded stack run: "
                'eval "$(.venv/bin/python -m deploy.stack env)"'
            )
        project = load_project(settings.projects / f"{name}.yaml")
        tracking = Tracking(settings.mlflow_uri)
        return cls(project, settings, settings.open_store(), Ledger(settings.ledger_uri), tracking)

    @property
    def run(self) -> str:
        """Name this process as the holder of what it writes."""
        return f"cli/{os.getpid()}"

    def ingest(self, day: str) -> DatasetRef:
        """Ingest, validate and publish one day."""
        from include.data.arrivals import find_complete_batch, plan_shards
        from include.data.ingestion import ingest_shard
        from include.data.publication import publish_partition
        from include.data.validation import require_quality, validate_partition

        landing = self.settings.landing_folder
        batch = find_complete_batch(self.project, landing, day)
        if batch is None:
            raise ArtifactNotFoundError(f"no complete delivery for {day} below {landing}; is its marker file there?")
        shards = plan_shards(self.project, batch)
        reports = [ingest_shard(self.project, shard, landing, self.store) for shard in shards]
        report = validate_partition(self.project, reports, self.store)
        require_quality(self.project, report)
        return publish_partition(self.project, report, self.store, self.ledger, self.run)

    def train(self) -> ModelRef:
        """Train on the newest dataset version."""
        from include.training.fit import train_candidate
        from include.training.selection import select_dataset

        dataset = select_dataset(self.project, self.ledger, required=True)
        assert dataset is not None  # noqa: S101 - `required` promises it
        return train_candidate(self.project, dataset, self.store, self.ledger, self.tracking, run_name=self.run)

    def decide(self) -> PromotionDecision:
        """Judge the newest candidate."""
        from include.evaluation.decide import decide_promotion
        from include.evaluation.evaluate import evaluate_model
        from include.registry.aliases import find_champion

        candidate, champion = self._candidate(), find_champion(self.project.name, self.ledger)
        models = [candidate] if champion is None else [candidate, champion.model]
        reports = [evaluate_model(m, candidate.dataset, self.project, self.store, self.tracking) for m in models]
        decision = decide_promotion(reports[0], reports[1] if champion else None, self.project.promotion)
        record_decision(self.ledger, decision)
        return decision

    def register(self) -> ModelVersionRef:
        """Register the newest candidate."""
        from include.registry.register import register_model

        decision = find_decision(self.ledger, self._candidate().key)
        if decision is None:
            raise ArtifactNotFoundError("the newest candidate was not judged yet; run `decide` first")
        return register_model(decision, self.project, self.store, self.ledger, self.tracking)

    def package(self) -> ReleaseRef:
        """Package the newest candidate's registered version."""
        from include.deployment.package import package_model

        version = find_model_version(self.ledger, self.project.name, key=self._candidate().key)
        if version is None:
            raise ArtifactNotFoundError("the newest candidate is not registered; run `decide` and `register` first")
        return package_model(version, self.project, self.store, self.ledger, self.tracking)

    def deploy(self) -> ReleaseRef:
        """Roll the newest release out, and crown it or roll back."""
        from include.deployment.rollout import complete_rollout, judge_rollout, roll_back, roll_out
        from include.registry.aliases import crown_champion

        release = self.package()
        rollout = roll_out(release, self.ledger, self.run)
        deadline = datetime.now(UTC) + timedelta(seconds=self.project.deployment.ready_seconds)
        while (report := judge_rollout(rollout, self.settings.serving_uri, deadline)) is None:
            time.sleep(POLL_SECONDS)
        if report.verdict == "unhealthy":
            roll_back(report, self.ledger)
            raise RolloutFailedError(f"rolled back: {'; '.join(report.reasons)}")
        complete_rollout(rollout, self.ledger)
        crown_champion(release.model, self.ledger, self.tracking, reason=f"rollout {rollout.id} is healthy")
        return release

    def predict(self, image: Path) -> dict[str, Any]:
        """Ask the serving process about one image file."""
        import httpx

        if not image.is_file():
            raise ContractViolationError(f"no image file {image}")
        uri = f"{self.settings.serving_uri}/v1/predict"
        try:
            answer = httpx.post(uri, params={"project": self.project.name}, content=image.read_bytes(), timeout=10)
        except httpx.TransportError as error:
            raise ServiceUnavailableError(f"serving at {uri} does not answer: {error}; see `make status`") from error
        if answer.is_error:
            raise ContractViolationError(f"serving refused {image}: {answer.text}")
        return dict(answer.json())

    def monitor(self, start: datetime, end: datetime) -> DriftReport:
        """Measure the drift of one window, and open an episode if there is any."""
        from include.monitoring.drift import detect_drift
        from include.monitoring.episodes import record_drift
        from include.monitoring.profile import profile_predictions

        report = detect_drift(self.project, profile_predictions(self.project, start, end, self.store), self.store)
        record_drift(report, self.ledger)
        return report

    def lifecycle(self, days: Sequence[str]) -> dict[str, Any]:
        """Run every stage once and time it, in seconds."""
        seconds: dict[str, float] = {}

        def timed(stage: str, work: Callable[[], Any]) -> Any:
            started = time.perf_counter()
            result = work()
            seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
            return result

        for day in days:
            dataset = timed("ingest", lambda day=day: self.ingest(day))
        timed("train", self.train)
        decision = timed("decide", self.decide)
        timed("register", self.register)
        release = timed("deploy", self.deploy)
        return {
            "dataset": dataset.digest,
            "verdict": decision.verdict,
            "release": release.digest,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        }

    def _candidate(self) -> ModelRef:
        candidate = find_latest_candidate(self.ledger, self.project.name)
        if candidate is None:
            raise ArtifactNotFoundError(f"{self.project.name} has no candidate yet; run `train` first")
        return candidate
