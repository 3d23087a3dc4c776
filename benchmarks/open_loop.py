"""Requests at a constant rate, sent by a process of its own whether earlier ones are answered or not.

Latency counts from the moment a request was due, so that a stall is felt by every request that it delays: no
"coordinated omission" (Tene, How NOT to measure latency, 2013).
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import NamedTuple, Self

import httpx
import numpy as np

ANSWER_SECONDS = 60.0
OK = 200

_context = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Question:
    """What is asked, again and again."""

    url: str
    image: bytes
    token: str


class Answer(NamedTuple):
    """What became of one request; moments in seconds of the monotonic clock, which all processes share."""

    due: float
    ended: float
    request_id: str = ""
    release: str = ""
    confidence: float = 0.0
    failure: str = ""

    @property
    def milliseconds(self) -> float:
        """Time from when it was due."""
        return (self.ended - self.due) * 1000


class OpenLoop:
    """A load for as long as the block lives, then its answers.

    :param rate: Requests per second.
    """

    def __init__(self, question: Question, rate: float) -> None:
        self.answers: list[Answer] = []
        self._stop = _context.Event()
        self._pipe, far_end = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(question, rate, self._stop, far_end), daemon=True)
        self._process.start()
        far_end.close()

    def __enter__(self) -> Self:
        """Wait until it has begun."""
        self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Send no more, and collect what was answered."""
        self._stop.set()
        self.answers = self._pipe.recv()
        self._process.join()


def find_percentile(answers: Sequence[Answer], percent: float) -> float:
    """Return a percentile of the latencies in milliseconds; without answers, not a number."""
    return float(np.percentile([answer.milliseconds for answer in answers], percent)) if answers else float("nan")


def _run(question: Question, rate: float, stop: Event, pipe: Connection) -> None:
    pipe.send(asyncio.run(_send_all(question, rate, stop, pipe)))


async def _send_all(question: Question, rate: float, stop: Event, pipe: Connection) -> list[Answer]:
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Authorization": f"Bearer {question.token}"}
    sent: list[asyncio.Task[Answer]] = []
    async with httpx.AsyncClient(limits=unlimited, timeout=ANSWER_SECONDS, trust_env=False, headers=headers) as client:
        begin = time.monotonic()
        while not stop.is_set():
            due = begin + len(sent) / rate
            await asyncio.sleep(due - time.monotonic())
            sent.append(asyncio.create_task(_send(client, question, due)))
            if len(sent) == 1:
                pipe.send("begun")
        return await asyncio.gather(*sent)


async def _send(client: httpx.AsyncClient, question: Question, due: float) -> Answer:
    try:
        answer = await client.post(question.url, content=question.image)
    except httpx.HTTPError as error:
        return Answer(due, time.monotonic(), failure=repr(error))
    ended = time.monotonic()
    if answer.status_code != OK:
        return Answer(due, ended, failure=f"{answer.status_code} {answer.text[:200]}")
    body = answer.json()
    failure = "" if body["answered_by"] == body["variant"] else f"answered by {body['answered_by']}"
    return Answer(due, ended, body["request_id"], body["release"], body["confidence"], failure)
