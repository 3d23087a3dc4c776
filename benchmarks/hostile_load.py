"""Whether good images are answered while as many hostile requests come in, and what memory that takes.

    .venv/bin/python -m benchmarks.hostile_load [--seconds 60] [--rate 20]

Good and hostile requests start at fixed moments, 20 a second of each kind, whatever became of those before them; each
is timed from its moment. The hostile ones are the classes of `benchmarks.hostile_files`, and requests that lie about
their length, end early, send nothing for a long time, or hold JSON and forms made to hurt.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from benchmarks.hostile_files import CLASSES, make_clean
from benchmarks.serving_process import Server, make_project, open_service, start_serving

PATIENCE = 10.0
ANSWERED_GOAL = 0.999
MEMORY_GOAL = 1_024  # MB
HEAD = b"POST /v1/predict HTTP/1.1\r\nhost: 127.0.0.1\r\n"
# Whole requests, byte by byte; what follows them is silence.
REQUESTS: dict[str, Callable[[bytes], bytes]] = {
    "body that never comes": lambda file: HEAD + b"content-length: 9000\r\n\r\n",
    "body that ends early": lambda file: HEAD + f"content-length: {len(file) * 2}\r\n\r\n".encode() + file,
    "length of a petabyte": lambda file: HEAD + b"content-length: 1000000000000000\r\n\r\n" + file,
    "length that is no number": lambda file: HEAD + b"content-length: -5\r\n\r\n" + file,
    "chunks without end": lambda file: (
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"fff\r\n" + bytes(4095) + b"\r\n"
    ),
    "headers without end": lambda file: HEAD + b"x: y\r\n" * 2000,
    "no HTTP": lambda file: b"\x16\x03\x01" + file,
    "deep JSON": lambda file: _post("application/json", b'{"image":' + b"[" * 100_000),
    "JSON that is no base64": lambda file: _post("application/json", b'{"image": "\xff\xfe"}'),
    "form without end": lambda file: _post("multipart/form-data; boundary=x", b"--x\r\n" * 20_000),
}


def _post(kind: str, body: bytes) -> bytes:
    return HEAD + f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Outcome:
    """What became of the requests of one kind."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def answered(self) -> float:
        """Return the share that was answered with 200."""
        return self.statuses["200"] / max(1, sum(self.statuses.values()))

    def quantile(self, share: float) -> float:
        """Return a quantile of the time from moment to answer, in milliseconds."""
        return float(np.quantile(self.seconds, share) * 1000) if self.seconds else float("nan")


@dataclass(frozen=True)
class Report:
    """Good requests by themselves and among hostile ones, and what the process took."""

    alone: Outcome
    good: Outcome
    hostile: Outcome
    memory: float  # MB
    survived: bool

    @property
    def kept(self) -> bool:
        """Whether all goals are met."""
        return self.good.answered() >= ANSWERED_GOAL and self.memory <= MEMORY_GOAL and self.survived


async def send_good(client: httpx.AsyncClient, number: int) -> str:
    """Ask about an honest file."""
    response = await client.post("/v1/predict", content=make_clean(number).jpeg)
    return str(response.status_code)


async def send_hostile(client: httpx.AsyncClient, port: int, number: int) -> str:
    """Send one hostile request, of each class in turn."""
    clean, kinds = make_clean(number), [*CLASSES, *REQUESTS]
    kind = kinds[number % len(kinds)]
    if kind in CLASSES:
        response = await client.post("/v1/predict", content=CLASSES[kind][1](clean))
        return str(response.status_code)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(REQUESTS[kind](clean.jpeg))
        head = await reader.read(12)
        return head[9:12].decode(errors="replace") or "hung up"
    finally:
        writer.transport.abort()


async def send_at_rate(send: Callable[[int], "asyncio.Future[str]"], rate: float, seconds: float) -> Outcome:
    """Send requests at fixed moments; none waits for another."""
    outcome, started = Outcome(), time.perf_counter()

    async def send_one(number: int, moment: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status = await send(number)
        except (TimeoutError, OSError, httpx.HTTPError) as error:
            status = type(error).__name__
        outcome.statuses[status] += 1
        outcome.seconds.append(time.perf_counter() - moment)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            moment = started + number / rate
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            tasks.create_task(send_one(number, moment))
    return outcome


async def attack(server: Server, rate: float, seconds: float) -> Report:
    """Send good requests alone for a while, then both kinds."""
    uri, limits = f"http://127.0.0.1:{server.port}", httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=uri, limits=limits, timeout=PATIENCE, trust_env=False) as friend,
        httpx.AsyncClient(base_url=uri, limits=limits, timeout=PATIENCE, trust_env=False) as foe,
    ):
        alone = await send_at_rate(lambda number: send_good(friend, number), rate, seconds / 4)
        good, hostile = await asyncio.gather(
            send_at_rate(lambda number: send_good(friend, number), rate, seconds),
            send_at_rate(lambda number: send_hostile(foe, server.port, number), rate, seconds),
        )
    return Report(alone, good, hostile, server.read_memory(), server.process.poll() is None)


def describe(report: Report) -> list[str]:
    """Return the lines of the table."""
    lines = ["| requests | sent | answered | p50 | p99 | what became of them |", "|---|--:|--:|--:|--:|---|"]
    for name, outcome in {"good, alone": report.alone, "good": report.good, "hostile": report.hostile}.items():
        statuses = ", ".join(f"{status} {count}" for status, count in outcome.statuses.most_common())
        lines.append(
            f"| {name} | {sum(outcome.statuses.values())} | {outcome.answered():.2%} | {outcome.quantile(0.5):.0f} ms "
            f"| {outcome.quantile(0.99):.0f} ms | {statuses} |"
        )
    memory = f"{report.memory:,.0f} MB at most (goal {MEMORY_GOAL:,})"
    lines += ["", f"{memory}; good answered: goal {ANSWERED_GOAL:.1%}; kept: {report.kept}"]
    return lines


def main(arguments: list[str] | None = None) -> Report:
    """Start a serving process, attack it and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    chosen = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_service(make_project("small_cnn", 32), Path(folder)) as (settings, _),
        start_serving(settings, os.sched_getaffinity(0)) as server,
    ):
        report = asyncio.run(attack(server, chosen.rate, chosen.seconds))
    print(*describe(report), sep="\n")
    return report


if __name__ == "__main__":
    main()
