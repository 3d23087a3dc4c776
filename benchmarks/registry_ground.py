"""What races for the registry share: real servers, one trained model under many keys, and what must hold afterwards."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import sqlalchemy as sa
from mlflow.entities.model_registry import ModelVersion

from include.contracts import DatasetRef, EvaluationReport, ModelRef, PromotionDecision
from include.contracts.governance import AuditEntry
from include.errors import ArtifactNotFoundError, NotCertifiedError
from include.ledger import Ledger
from include.ledger.audit import verify_chain
from include.ledger.certificates import find_certificate
from include.ledger.models import find_alias, find_model_version
from include.project import Project, load_project
from include.registry.aliases import CANDIDATE, CHAMPION, PREVIOUS
from include.registry.certificate import ORIGIN
from include.settings import REPOSITORY
from include.storage import Store, digest_bytes
from include.tracking import KEY_TAG, MODEL_FOLDER, Tracking
from include.vision.certificates import certificate_address, read_certificate
from include.vision.graphs import export_once

START_SECONDS = 120
ONE = digest_bytes(b"benchmark")


@dataclass(frozen=True)
class Race:
    """A project nobody else uses, its places, and a decision to register for every key."""

    project: Project
    folder: Path
    ledger_uri: str
    mlflow_uri: str
    decisions: tuple[PromotionDecision, ...]

    @property
    def store(self) -> Store:
        """The store."""
        return Store(str(self.folder / "store"))

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.ledger_uri)


@contextmanager
def start_servers(folder: Path) -> Iterator[tuple[str, str]]:
    """Run PostgreSQL and MLflow for as long as the block lives; give the ledger's URL and MLflow's."""
    # Of no use to the processes that race, and they import this module each time one is started anew.
    from benchmarks.attempts import start_postgres

    with ExitStack() as stack:
        postgres = stack.enter_context(start_postgres())
        with sa.create_engine(postgres, isolation_level="AUTOCOMMIT").connect() as connection:
            for name in ("ledger", "mlflow"):
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
        uris = [sa.make_url(postgres).set(database=name).render_as_string(False) for name in ("ledger", "mlflow")]
        Ledger(uris[0]).migrate()
        yield uris[0], stack.enter_context(_start_mlflow(uris[1], folder))


@contextmanager
def _start_mlflow(backend: str, folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        backend,
        "--artifacts-destination",
        str(folder / "artifacts"),
        "--serve-artifacts",
    ]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=5, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"MLflow at {url} did not start within {START_SECONDS} s")


def open_race(folder: Path, ledger_uri: str, mlflow_uri: str, keys: int) -> Race:
    """Log one untrained network as the run of every key, and promote them all."""
    digits = load_project(REPOSITORY / "include" / "projects" / "digits.yaml")
    project = digits.model_copy(update={"name": f"race_{uuid.uuid4().hex[:8]}"})
    tracking, store = Tracking(mlflow_uri), Store(str(folder / "store"))
    model_folder, weights = _save_network(project, folder)
    experiment = tracking.find_experiment(project.name)

    def log_run(number: int) -> PromotionDecision:
        with tracking.connect() as client:
            run = client.create_run(experiment, tags=dict.fromkeys(ORIGIN.values(), ONE)).info.run_id
            client.log_artifacts(run, str(model_folder), MODEL_FOLDER)
        return _promote(project.name, digest_bytes(f"{project.name} {number}".encode()), run, weights)

    with ThreadPoolExecutor(4) as pool:
        decisions = tuple(pool.map(log_run, range(keys)))
    # Once for all: the first process would hold the lock for as long as torch takes to import.
    export_once(decisions[0].candidate.model, model_folder, store)
    return Race(project, folder, ledger_uri, mlflow_uri, decisions)


def _save_network(project: Project, folder: Path) -> tuple[Path, str]:
    from include.vision.networks import build_classifier
    from include.vision.weights import save_classifier

    (target := folder / "model").mkdir()
    classifier = build_classifier(project.training, len(project.classes))
    return target, save_classifier(classifier, project.training, project.classes, target)


def _promote(project: str, key: str, run: str, weights: str) -> PromotionDecision:
    dataset = DatasetRef(project=project, address="none", version=1, digest=ONE, images=100, labelled=100)
    report = EvaluationReport(
        model=ModelRef(project=project, key=key, run_id=run, weights=weights, dataset=dataset),
        test_digest=ONE, images=100, accuracy=0.9, macro_f1=0.9, worst_class_recall=0.9,
        recall_by_class={"0": 0.9}, accuracy_by_partition={},
    )  # fmt: skip
    return PromotionDecision(verdict="promote", candidate=report, reasons=("a benchmark",))


@dataclass(frozen=True)
class Finding:
    """One figure beside its limit."""

    name: str
    found: int
    limit: int
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether it keeps to the limit."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def check_registrations(race: Race, answers: list[tuple[str, int]]) -> list[Finding]:
    """Compare MLflow, the ledger, the store and the audit chain with the keys asked for, and with what was answered."""
    tracking, wanted = Tracking(race.mlflow_uri), {one.candidate.model.key for one in race.decisions}
    with tracking.connect() as client:
        versions = client.search_model_versions(f"name = '{race.project.name}'", max_results=100_000)
    ready = [version for version in versions if version.status == "READY"]
    keys = Counter(version.tags.get(KEY_TAG, "") for version in ready)
    recorded = {key: find_model_version(race.ledger, race.project.name, key=key) for key in wanted}
    numbers = {key: version.version for key, version in recorded.items() if version}
    models = {one.candidate.model.key: one.candidate.model for one in race.decisions}
    with ThreadPoolExecutor(4) as pool:
        empty = sum(not held for held in pool.map(tracking.holds_model, models.values()))
    chain, _ = verify_chain(race.ledger, race.project.name, race.store)
    registered = Counter(entry.payload["model"] for entry in chain if entry.kind == "registration")
    return [
        Finding("keys asked for without a READY version", len(wanted - set(keys)), 0),
        Finding("READY versions too many", len(ready) - len(wanted & set(keys)), 0),
        Finding(
            "READY versions without weights", empty + sum(not str(one.source).endswith("/model") for one in ready), 0
        ),
        Finding("READY versions without a certificate", sum(not _is_certified(race, one) for one in ready), 0),
        Finding("READY versions the ledger has not", sum(_number(one) not in numbers.values() for one in ready), 0),
        Finding("answers other than the ledger's", sum(numbers.get(key) != number for key, number in answers), 0),
        Finding("keys not once on the audit chain", sum(registered[key] != 1 for key in wanted), 0),
        Finding("entries that do not follow", count_disorder(chain), 0),
        Finding("aliases that MLflow has otherwise", _count_unlike(race), 0),
    ]


def check_promotions(race: Race, refused: list[str]) -> list[Finding]:
    """Replay the audit chain serially, and compare where it ends with the ledger and with MLflow."""
    chain, _ = verify_chain(race.ledger, race.project.name, race.store)
    moves = [entry for entry in chain if entry.kind == "alias"]
    crowned = [entry for entry in moves if entry.payload["alias"] == CHAMPION]
    ends = {str(entry.payload["alias"]): entry.payload["version"] for entry in moves}
    ledger = {alias: find_alias(race.ledger, race.project.name, alias) for alias in ends}
    return [
        Finding("promotions on the chain", len(crowned), 1, at_least=True),
        Finding("promotions there twice", len(crowned) - len({entry.why for entry in crowned}), 0),
        Finding("refused promotions there", len({entry.why for entry in crowned} & set(refused)), 0),
        Finding("entries that do not follow", count_disorder(chain), 0),
        Finding("aliases that end elsewhere in the ledger", sum(ledger[alias] != ends[alias] for alias in ends), 0),
        Finding("aliases that MLflow has otherwise", _count_unlike(race), 0),
    ]


def count_disorder(chain: tuple[AuditEntry, ...]) -> int:
    """Count the alias moves a serial history could not hold, after any of which `previous` is the champion before."""
    now: dict[str, object] = {}
    wrong = 0
    for entry in chain:
        if entry.kind == "alias":
            alias, before = str(entry.payload["alias"]), entry.payload["before"]
            wrong += now.get(alias) != before
            wrong += alias == CHAMPION and now.get(PREVIOUS) != before
            now[alias] = entry.payload["version"]
    return wrong


def _is_certified(race: Race, version: ModelVersion) -> bool:
    number = _number(version)
    try:
        signed = race.store.read(certificate_address(race.project.name, number))
        certificate = read_certificate(signed, race.store)
    except (ArtifactNotFoundError, NotCertifiedError):
        return False
    named = (certificate.version, certificate.model.key) == (number, version.tags.get(KEY_TAG))
    return named and signed == find_certificate(race.ledger, race.project.name, number)


def _number(version: ModelVersion) -> int:
    return int(version.version)


def _count_unlike(race: Race) -> int:
    aliases = {alias: find_alias(race.ledger, race.project.name, alias) for alias in (CANDIDATE, CHAMPION, PREVIOUS)}
    with Tracking(race.mlflow_uri).connect() as client:
        held = client.get_registered_model(race.project.name).aliases
    return sum(held.get(alias) != (version and str(version)) for alias, version in aliases.items())
