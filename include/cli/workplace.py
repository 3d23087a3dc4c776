"""One project with everything its stages need: the order of the stages, without Airflow."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from include.contracts import (
    DatasetRef,
    EvaluationReport,
    ModelRef,
    ModelVersionRef,
    PromotionDecision,
    ReleaseRef,
    ValidationReport,
)
from include.errors import ArtifactNotFoundError, ContractViolationError, ProjectFileError
from include.project import Project, load_project
from include.settings import Settings, load_settings
from include.storage import Store, write_atomically

# Stages, the ledger and MLflow's client take seconds to import: each verb loads those it uses.
if TYPE_CHECKING:
    from include.ledger import Ledger
    from include.tracking import Tracking


@dataclass(frozen=True)
class Workplace:
    """A project, and the places this machine keeps its things in."""

    project: Project
    settings: Settings

    @classmethod
    def open(cls, name: str) -> Self:
        """Read the project file and the environment; nothing connects yet."""
        settings = load_settings()
        known = sorted(path.stem for path in settings.projects.glob("*.yaml"))
        if name not in known:
            raise ProjectFileError(
                f"no project {name!r} in {settings.projects}, which holds {', '.join(known) or 'nothing'}; "
                "`make new-project` writes one"
            )
        return cls(load_project(settings.projects / f"{name}.yaml"), settings)

    @cached_property
    def store(self) -> Store:
        """The store."""
        return self.settings.open_store()

    @cached_property
    def ledger(self) -> "Ledger":
        """The ledger."""
        from include.ledger import Ledger

        if not self.settings.ledger_uri:
            raise ContractViolationError(
                "WINDHOVER_LEDGER_URI is not set; for the embedded stack run: "
                'eval "$(.venv/bin/python -m deploy.stack env)"'
            )
        return Ledger(self.settings.ledger_uri)

    @cached_property
    def tracking(self) -> "Tracking":
        """The MLflow server."""
        from include.tracking import Tracking

        return Tracking(self.settings.mlflow_uri, self.settings.mlflow_page)

    @cached_property
    def run(self) -> str:
        """Name this piece of work. Not by the process's number: a rollout found under it must be this run's own."""
        return f"cli/{datetime.now(UTC).isoformat()}"

    def validate(self, day: str) -> ValidationReport:
        """Ingest the delivery of one day and hold it against its gate; nothing is published."""
        from include.data.arrivals import find_complete_batch, locate_delivery, plan_shards
        from include.data.collection import collect_batch
        from include.data.ingestion import ingest_shard
        from include.data.quality import require_quality
        from include.data.validation import validate_partition

        project, landing, ledger = self.project, self.settings.landing_uri, self.ledger
        batch = find_complete_batch(project, landing, day)
        if batch is None:
            source = project.source
            wanted = {
                "marker": f"deliver it and write {source.marker} last",
                "quiet": f"deliver it and wait {source.quiet_seconds} s",
                "count": f"deliver {source.count} images",
            }
            raise ArtifactNotFoundError(
                f"no complete delivery at {locate_delivery(project, landing, day)}; {wanted[source.complete]}"
            )
        shards = plan_shards(project, collect_batch(project, batch, self.store))
        staged = [ingest_shard(project, shard, self.store, ledger) for shard in shards]
        report = validate_partition(project, staged, self.store, ledger)
        require_quality(project, report, ledger)
        return report

    def ingest(self, day: str) -> DatasetRef:
        """Ingest, validate and publish one day."""
        from include.data.publication import publish_partition

        report = self.validate(day)
        # The same for every attempt at a day: one that is run again takes over the lease of one that was killed.
        return publish_partition(self.project, report, self.store, self.ledger, f"cli/{report.partition}")

    def release(self, day: str, released_by: str, reason: str) -> dict[str, Any]:
        """Let the last validation of a day pass although it failed; return what was released."""
        from include.data.quarantine import release_quarantine
        from include.ledger.audit import seal_chain

        report = release_quarantine(
            self.project, self._name_partition(day), self.ledger, released_by=released_by, reason=reason
        )
        seal_chain(self.ledger, self.project.name, self.store)
        return {"partition": report.partition, "digest": report.digest, "quarantined": report.quarantined}

    def list_quarantine(self, day: str, folder: Path | None = None) -> dict[str, Any]:
        """Say what is in a day's quarantine; write what is kept of it to a folder."""
        from include.data.staging import read_quarantine
        from include.ledger.quality import find_last_validation

        partition = self._name_partition(day)
        report = find_last_validation(self.ledger, self.project.name, partition)
        if report is None:
            raise ArtifactNotFoundError(f"{self.project.name} {partition} was never validated; ingest it first")
        rows = read_quarantine(self.store, report.address).to_pylist()
        for row in rows:
            original = row.pop("original")
            if folder and original is not None:
                write_atomically(folder / row["digest"].removeprefix("sha256:"), original)
        return {"partition": partition, "files": rows}

    def _name_partition(self, day: str) -> str:
        from include.data.arrivals import SNAPSHOT

        return SNAPSHOT if self.project.source.snapshot else day

    def compact(self) -> dict[str, Any]:
        """Compact the dataset, and remove old versions and staged rows."""
        from include.data.maintenance import clean_staging, clean_versions, compact_dataset

        places = self.project, self.store, self.ledger
        compacted = compact_dataset(*places, holder="cli/compact")
        removed = clean_versions(*places, holder="cli/compact")
        staged = clean_staging(*places)
        return {"version": compacted.version if compacted else None, "removed": list(removed), "staged": list(staged)}

    def find_dataset(self, version: int | None = None, as_of: datetime | None = None) -> DatasetRef:
        """Return a published dataset version, the newest unless named, or what of it was known at a moment."""
        from include.ledger.datasets import list_versions
        from include.vision.images import select_as_of

        published = [one for one, _ in list_versions(self.ledger, self.project.name)]
        found = next((one for one in published if version in {None, one.version}), None)
        if found is None:
            numbers = ", ".join(str(one.version) for one in published) or "none"
            raise ArtifactNotFoundError(
                f"{self.project.name} has no dataset version {version or ''}; published: {numbers}"
            )
        return select_as_of(found, as_of.replace(tzinfo=UTC), self.store) if as_of else found

    def train(self) -> ModelRef:
        """Train on the newest dataset version."""
        from include.training.choice import choose_settings
        from include.training.fit import train_candidate
        from include.training.selection import select_dataset

        dataset = select_dataset(self.project, self.ledger, self.store, required=True)
        assert dataset is not None  # noqa: S101 - `required` promises it
        chosen = choose_settings(self.begin(), dataset, self.ledger, self.tracking)
        return train_candidate(chosen, dataset, self.store, self.ledger, self.tracking, run_name=self.run)

    def begin(self) -> Project:
        """Return the project with the weights that its training begins from."""
        from include.training.warm_start import begin_from_champion

        return begin_from_champion(self.project, self.ledger, self.tracking)

    def find_candidate(self) -> ModelRef:
        """Return the model that was trained last."""
        from include.ledger.models import find_latest_candidate

        candidate = find_latest_candidate(self.ledger, self.project.name)
        if candidate is None:
            raise ArtifactNotFoundError(f"{self.project.name} has no candidate yet; run `train` first")
        return candidate

    def evaluate(self, model: ModelRef, dataset: DatasetRef) -> EvaluationReport:
        """Measure a model on the sealed test split of a dataset version."""
        from include.evaluation.evaluate import evaluate_model

        return evaluate_model(model, dataset, self.project, self.store, self.tracking)

    def decide(self, candidate: ModelRef) -> PromotionDecision:
        """Measure a candidate and the champion on the candidate's test split, decide, and record the decision."""
        from include.evaluation.compare import compare_models
        from include.evaluation.decide import decide_promotion
        from include.ledger.models import record_decision
        from include.registry.aliases import find_champion

        champion = find_champion(self.project.name, self.ledger)
        measured = self.evaluate(candidate, candidate.dataset)
        rival = self.evaluate(champion.model, candidate.dataset) if champion else None
        comparisons = compare_models(measured, rival, self.project, self.store) if rival else ()
        decision = decide_promotion(measured, rival, self.project.promotion, comparisons)
        record_decision(self.ledger, decision)
        return decision

    def register(self, candidate: ModelRef) -> ModelVersionRef:
        """Register a candidate, if the last decision about it promotes it."""
        from include.ledger.episodes import close_answered_episode
        from include.ledger.models import find_decision
        from include.registry.register import register_model

        decision = find_decision(self.ledger, candidate.key)
        if decision is None:
            raise ArtifactNotFoundError(f"candidate {candidate.key} was not judged yet; run `decide` first")
        if decision.verdict != "promote":
            close_answered_episode(self.ledger, self.project.name)
        return register_model(decision, self.project, self.store, self.ledger, self.tracking)

    def find_certified(self) -> ModelVersionRef:
        """Return the version that was registered last."""
        from include.ledger.models import find_alias, find_model_version
        from include.registry.aliases import CANDIDATE

        number = find_alias(self.ledger, self.project.name, CANDIDATE)
        version = find_model_version(self.ledger, self.project.name, version=number) if number else None
        if version is None:
            raise ArtifactNotFoundError(f"{self.project.name} has no certified version yet; run `register` first")
        return version

    def package(self, version: ModelVersionRef) -> ReleaseRef:
        """Export a certified version to a release."""
        from include.deployment.package import package_model

        return package_model(version, self.project, self.store, self.ledger, self.tracking)
