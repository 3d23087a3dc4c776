"""A storm of drift: windows that all show drift, recorded and answered by several processes at once, some killed.

    .venv/bin/python -m benchmarks.drift_storm [--events 1000] [--processes 8] [--kills 50]

PostgreSQL is real. Every event does what a run of monitor_model does: it records its window, and where an episode is
unanswered, asks for a training under the name of its run. A process that is ended by kill -9 is started anew and
repeats the event it was at, as a scheduler does after a restart. One training after another is begun and ended; one in
five fails. Granted requests must be as many as the episodes that were answered, none told twice or lost, and
none asked for before the one before it had ended.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Event

import numpy as np
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from include.contracts import ActionDecision, DriftReport, RetrainingRequest
from include.ledger import Ledger
from include.ledger.episodes import close_answered_episode, close_episodes, list_episodes
from include.ledger.retrainings import begin_retraining, end_retraining, list_retrainings
from include.monitoring.episodes import find_drift, record_window
from include.monitoring.retraining import request_retraining
from include.project import MonitoringPolicy, Project, RetrainingPolicy

START = datetime(2026, 1, 1, tzinfo=UTC)
FAILING = 5
UNBOUND = RetrainingPolicy(cool_down_minutes=0, per_30_days=1_000_000)
PROJECT = Project(name="storm", classes=("a", "b"), monitoring=MonitoringPolicy(retraining=UNBOUND))

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Finding:
    """One promise, and what was found."""

    name: str
    found: int
    wanted: int

    @property
    def kept(self) -> bool:
        """Whether it was kept."""
        return self.found == self.wanted


def storm(ledger_uri: str, events: Sequence[int], pipe: Connection) -> None:
    """Play events one after another; report each, with the occasion of the training it has asked for."""
    ledger = Ledger(ledger_uri)
    for event in events:
        window = {"start": START + timedelta(hours=event), "end": START + timedelta(hours=event + 1)}
        drift = DriftReport(
            project="storm", **window, release=None, verdict="drift", predictions=90, summary="a storm"
        )  # fmt: skip
        record_window(PROJECT, drift, ledger)
        request = _answer(ledger, f"monitor {event}")
        pipe.send((event, request))
    pipe.send((None, None))


def _answer(ledger: Ledger, run: str) -> RetrainingRequest | None:
    """Ask as the run of an event does; a run that died after it was granted finds its own request again."""
    mine = [one.request for one in list_retrainings(ledger, "storm", 3) if one.asked_by == run]
    episode = find_drift("storm", ledger)
    number = mine[0].episode if mine else episode.id if episode else None
    if number is None:
        return None
    known = {"project": "storm", "episode": number, "cause": "camera_fault", "reasons": ("policy",)}
    request = request_retraining(PROJECT, ActionDecision(**known, action="retrain"), ledger, run)
    return request if isinstance(request, RetrainingRequest) else None


class Trainer:
    """Trains what is asked for, one after another."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.asked: SimpleQueue[RetrainingRequest] = SimpleQueue()
        self.trained: list[str] = []
        self.over = Event()

    def run(self) -> None:
        """Train until the storm is over and nothing is left."""
        while not (self.over.is_set() and self.asked.empty()):
            try:
                request = self.asked.get(timeout=0.05)
            except Empty:
                continue
            run = f"train {len(self.trained)}"
            begin_retraining(self.ledger, request, occasion=request.occasion, run=run)
            self.trained.append(request.occasion)
            failed = len(self.trained) % FAILING == 0
            end_retraining(self.ledger, "storm", run, "failed" if failed else "trained")
            (close_answered_episode if failed else close_episodes)(self.ledger, "storm")


def play(ledger_uri: str, events: Sequence[int], kills: Sequence[float], trainer: Trainer) -> int:
    """Let one process play its events; kill it some seconds after its start, each time it is started anew."""
    left, killed = list(events), 0
    while left:
        ours, theirs = _context.Pipe(duplex=False)
        process = _context.Process(target=storm, args=(ledger_uri, left, theirs))
        process.start()
        theirs.close()
        deadline = time.monotonic() + kills[killed] if killed < len(kills) else float("inf")
        done = 0
        while True:
            if time.monotonic() > deadline and process.pid and done:
                os.kill(process.pid, signal.SIGKILL)
                deadline = float("inf")
            try:
                if not ours.poll(0.01):
                    continue
                event, request = ours.recv()
            except EOFError:
                break
            done += event is not None
            if request is not None:
                trainer.asked.put(request)
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        left = left[done:]
    return killed


def check(ledger: Ledger, events: int, trained: Sequence[str]) -> list[Finding]:
    """Hold what is in the ledger against the promises."""
    episodes = list_episodes(ledger, "storm", events + 1)
    asked = [one for one in list_retrainings(ledger, "storm", events + 1) if one.outcome != "lost: no run began it"]
    answered = [one for one in episodes if one.state != "open"]
    oldest_first = sorted(asked, key=lambda one: one.id)
    overlapping = sum(
        one.ended_at is None or following.asked_at < one.ended_at for one, following in pairwise(oldest_first)
    )
    return [
        Finding("requests, as many as answered episodes", len(asked), len(answered)),
        Finding("episodes with a request of their own", len({one.request.episode for one in asked}), len(answered)),
        Finding("requests that began a training", len(set(trained)), len(asked)),
        Finding("trainings that were begun twice", len(trained) - len(set(trained)), 0),
        Finding("requests before the one before had ended", overlapping, 0),
        Finding("windows counted", sum(one.windows for one in episodes), events),
        Finding("episodes left open", sum(one.state == "open" for one in episodes), 0),
    ]


def race(ledger_uri: str, events: int, processes: int, kills: int) -> tuple[list[Finding], float, int]:
    """Play all events; return what was found, the seconds it took, and how many processes were killed."""
    chance, ledger, began = np.random.default_rng(11), Ledger(ledger_uri), time.monotonic()
    trainer = Trainer(ledger)
    deaths = [chance.uniform(0.05, 1.5, size=len(range(own, kills, processes))).tolist() for own in range(processes)]
    with ThreadPoolExecutor(processes + 1) as pool:
        training = pool.submit(trainer.run)
        played = [
            pool.submit(play, ledger_uri, range(own, events, processes), deaths[own], trainer)
            for own in range(processes)
        ]
        killed = sum(one.result() for one in played)
        trainer.over.set()
        training.result()
    # The last episode may have been opened after everybody had asked: the next hour asks.
    if request := _answer(ledger, "monitor of the next hour"):
        trainer.asked.put(request)
        trainer.run()
    return check(ledger, events, trainer.trained), time.monotonic() - began, killed


def main(arguments: Sequence[str] | None = None) -> list[Finding]:
    """Play the storm, print what was found, and return it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ledger", help="URL of an empty ledger; a server of its own unless given.")
    options = parser.parse_args(arguments)
    from benchmarks.attempts import start_postgres

    with start_postgres() if options.ledger is None else nullcontext(options.ledger) as uri:
        if options.ledger is None:
            uri = _create(uri)
        findings, seconds, killed = race(uri, options.events, options.processes, options.kills)
    table = Table(title=f"{options.events} drift events, {options.processes} processes, {killed} ended by kill -9")
    for name in ("promise", "found", "wanted", "kept"):
        table.add_column(name)
    for one in findings:
        table.add_row(one.name, str(one.found), str(one.wanted), "yes" if one.kept else "NO")
    Console().print(table)
    Console().print(f"{seconds:.1f} s, {options.events / seconds:.0f} events/s")
    return findings


def _create(server: str) -> str:
    with sa.create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text("CREATE DATABASE storm"))
    uri = sa.make_url(server).set(database="storm").render_as_string(hide_password=False)
    Ledger(uri).migrate()
    return uri


if __name__ == "__main__":
    sys.exit(not all(one.kept for one in main()))
