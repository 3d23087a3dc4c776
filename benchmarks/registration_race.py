"""Races for the registry: registrations that are killed in the middle, then promotions, by several processes at once.

    .venv/bin/python -m benchmarks.registration_race [--registrations 200] [--promotions 1250]

MLflow and PostgreSQL are real. A quarter of the registrations ask for a key that is asked for elsewhere, too; one in
twenty is ended by kill -9 while it holds the project's lock, and made again by a new process. Promotions move the
champion to a version drawn by lot; the oracle replays the audit chain entry by entry.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from benchmarks.registry_ground import (
    Finding,
    Race,
    check_promotions,
    check_registrations,
    open_race,
    start_servers,
)
from include.errors import StaleAttemptError, TransientError
from include.ledger.models import find_alias, find_model_version, move_alias
from include.registry.aliases import CHAMPION, PREVIOUS, crown_champion
from include.registry.register import register_model
from include.tracking import Tracking

PROCESSES = 8
REPEATED = 0.25
KILLED = 0.05
TRIES = 5
# Every so many promotions write MLflow's aliases as well, and the last one of a process does.
MIRRORED = 25

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Task:
    """The registrations of one process.

    :ivar keys: Index of the decision to register, one after another.
    :ivar deadly: Positions from which on one more attempt has to be killed.
    """

    keys: tuple[int, ...]
    deadly: tuple[int, ...]


class DeadlyTracking(Tracking):
    """Ends its own process some seconds after it is first used: the project's lock is held by then."""

    def __init__(self, uri: str, seconds: float | None) -> None:
        super().__init__(uri)
        self._timer = threading.Timer(seconds or 0, os.kill, (os.getpid(), signal.SIGKILL)) if seconds else None
        self.began: float | None = None

    @contextmanager
    def connect(self) -> Iterator[MlflowClient]:
        """Start the clock, and lend the client."""
        if self.began is None:
            self.began = time.monotonic()
            if self._timer:
                self._timer.start()
        with super().connect() as client:
            yield client

    def survive(self) -> float:
        """Stop the clock; return the seconds since it was started."""
        if self._timer:
            self._timer.cancel()
        return time.monotonic() - (self.began or time.monotonic())


def deal(processes: int, registrations: int, chance: np.random.Generator) -> tuple[int, list[Task]]:
    """Return how many keys there are, and deal every one at least once, with the repeats anywhere among them."""
    total = processes * registrations
    keys = round(total * (1 - REPEATED))
    asked = chance.permutation([*range(keys), *chance.integers(keys, size=total - keys)]).tolist()
    # Not in the last attempts: one that ends before its kill leaves it to the next one.
    latest = max(1, registrations * 4 // 5)
    deaths = [(index % processes, int(chance.integers(latest))) for index in range(round(total * KILLED))]
    return keys, [
        Task(tuple(asked[process::processes]), tuple(sorted(at for who, at in deaths if who == process)))
        for process in range(processes)
    ]


def register_all(race: Race, task: Task, start: int, kills: int, seconds: float, pipe: Connection) -> None:
    """Register from a position on; report every version, and how long the lock was held for it."""
    os.environ["WINDHOVER_HOME"] = str(race.folder / "home")
    for position in range(start, len(task.keys)):
        due = sum(at <= position for at in task.deadly) > kills
        decision = race.decisions[task.keys[position]]
        for left in reversed(range(TRIES)):
            tracking = DeadlyTracking(race.mlflow_uri, np.random.default_rng().uniform(0, seconds) if due else None)
            try:
                version = register_model(decision, race.project, race.store, race.ledger, tracking)
            except TransientError:
                tracking.survive()
                if not left:
                    raise
            else:
                break
        seconds = max(seconds / 2, tracking.survive())
        pipe.send((position, decision.candidate.model.key, version.version, seconds))


def promote_all(race: Race, process: int, promotions: int, versions: int, pipe: Connection) -> None:
    """Promote versions drawn by lot; report which attempts were refused."""
    ledger, tracking, name = race.ledger, Tracking(race.mlflow_uri), race.project.name
    chance, refused = np.random.default_rng(process), []
    for number in range(1, promotions + 1):
        reason, drawn = f"{process}/{number}", int(chance.integers(1, versions + 1))
        version = find_model_version(ledger, name, version=drawn)
        try:
            if version and (number % MIRRORED == 0 or number == promotions):
                crown_champion(version, ledger, tracking, reason)
            elif version:
                seen = find_alias(ledger, name, CHAMPION)
                move_alias(ledger, name, CHAMPION, expected=seen, version=drawn, reason=reason, trail=PREVIOUS)
        except StaleAttemptError:
            refused.append(reason)
    pipe.send(refused)


def drive(race: Race, task: Task) -> tuple[list[tuple[str, int]], int]:
    """Have a task done by one process after another, as they are killed; return the answers and the kills."""
    answers: list[tuple[str, int]] = []
    kills, seconds = 0, 0.3
    while len(answers) < len(task.keys):
        near, far = _context.Pipe(duplex=False)
        worker = _context.Process(target=register_all, args=(race, task, len(answers), kills, seconds, far))
        worker.start()
        far.close()
        try:
            while True:
                _, key, version, seconds = near.recv()
                answers.append((key, version))
        except EOFError:
            worker.join()
        if worker.exitcode not in {0, -signal.SIGKILL}:
            raise RuntimeError(f"a registration failed with exit code {worker.exitcode}; what it said is above")
        kills += worker.exitcode == -signal.SIGKILL
    return answers, kills


def race_registrations(race: Race, tasks: Sequence[Task]) -> list[Finding]:
    """Register everything from all processes at once, and check what is left."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        outcomes = list(pool.map(lambda task: drive(race, task), tasks))
    answers = [answer for some, _ in outcomes for answer in some]
    return [
        Finding("registrations", len(answers), sum(len(task.keys) for task in tasks), at_least=True),
        Finding(
            "attempts ended by kill -9", sum(kills for _, kills in outcomes), sum(len(t.deadly) for t in tasks), True
        ),
        *check_registrations(race, answers),
    ]


def race_promotions(race: Race, processes: int, promotions: int) -> list[Finding]:
    """Promote from all processes at once, and hold what is left against a serial history."""
    pipes = []
    for process in range(processes):
        near, far = _context.Pipe(duplex=False)
        worker = _context.Process(target=promote_all, args=(race, process, promotions, len(race.decisions), far))
        worker.start()
        far.close()
        pipes.append(near)
    refused = [reason for pipe in pipes for reason in pipe.recv()]
    attempts = Finding("promotions attempted", processes * promotions, processes * promotions, at_least=True)
    return [attempts, *check_promotions(race, refused)]


def print_findings(findings: dict[str, tuple[list[Finding], float]]) -> None:
    """Print every figure beside its limit."""
    for title, (found, seconds) in findings.items():
        table = Table("", "found", "limit", title=f"{title}, {seconds:.0f} s", title_justify="left")
        for one in found:
            limit = f"{'>=' if one.at_least else '<='} {one.limit:,}"
            table.add_row(one.name, f"{one.found:,}", limit, style="" if one.kept else "bold red")
        Console().print(table)


def main(arguments: Sequence[str] | None = None) -> dict[str, list[Finding]]:
    """Race, check and print; return what was found, by race."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=PROCESSES, help="that race at once")
    parser.add_argument("--registrations", type=int, default=200, help="of each process")
    parser.add_argument("--promotions", type=int, default=1250, help="of each process")
    parser.add_argument("--ledger", help="URL of an empty ledger; a server of its own unless given, as for --mlflow")
    parser.add_argument("--mlflow", help="URL of an MLflow server")
    chosen = parser.parse_args(arguments)
    # A server that has imported this forks every process, also those that take the place of killed ones.
    _context.set_forkserver_preload(["benchmarks.registry_ground", "include.registry.register"])
    forkserver.ensure_running()
    keys, tasks = deal(chosen.processes, chosen.registrations, np.random.default_rng(5))
    with tempfile.TemporaryDirectory(prefix="windhover-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        given = nullcontext((chosen.ledger, chosen.mlflow))
        with given if chosen.ledger and chosen.mlflow else start_servers(folder) as (ledger_uri, mlflow_uri):
            race = open_race(folder, ledger_uri, mlflow_uri, keys)
            findings, started = {}, time.monotonic()
            findings["registrations"] = race_registrations(race, tasks), time.monotonic() - started
            started = time.monotonic()
            promoted = race_promotions(race, chosen.processes, chosen.promotions)
            findings["promotions"] = promoted, time.monotonic() - started
    print_findings(findings)
    return {title: found for title, (found, _) in findings.items()}


if __name__ == "__main__":
    sys.exit(0 if all(one.kept for found in main().values() for one in found) else 1)
