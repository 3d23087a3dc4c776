"""Decode files that nobody vouches for in processes that may die of it, several at once and in order."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import current_process
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import AuthenticationString  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from include.data.chunks import DECODER_SECONDS, Decoded, Reader, Refused, Why, decode_chunk, enter
from include.errors import TransientError
from include.project import DataConfig

# A chunk is one message: large enough that messages cost nothing, small enough to share few files among the workers.
CHUNK_FILES = 128
CHUNKS_AHEAD = 3
# Clock time, for what waits instead of working. An object store that does not answer gives up sooner, with an error.
CHUNK_SECONDS = 120.0
TOO_SLOW = (-signal.SIGPROF, -signal.SIGALRM)


@dataclass(slots=True)
class _Chunk:
    """Files one after the other, and why some of them are refused whatever they hold."""

    start: int
    names: Sequence[str]
    known: Mapping[str, Why]
    future: ProcessFuture[Decoded] | None = None

    def schedule(self, pool: ProcessPool) -> None:
        if self.future is None:
            self.future = pool.schedule(decode_chunk, (self.start, self.names, self.known))

    def collect(self) -> tuple[Decoded, list["_Chunk"]]:
        """Wait for what comes of it; return that, and what is left to do."""
        assert self.future is not None  # noqa: S101 - waiting for what was never scheduled would never end
        try:
            decoded = self.future.result()
        except ProcessExpired as death:
            return self._examine(death)
        except BrokenProcessPool as error:
            raise TransientError(f"the decoder processes do not run ({error}); is memory short? Try again") from error
        done = len(decoded)
        left = _Chunk(self.start + done, self.names[done:], self.known)
        return decoded, [left] if left.names else []

    def _examine(self, death: ProcessExpired) -> tuple[Decoded, list["_Chunk"]]:
        """Find the file a process died of by trying each alone; that one is read again, for its digest only."""
        if death.exitcode == -signal.SIGKILL:
            raise TransientError(
                f"a decoder process was killed from outside, at {self.names[0]!r} or after; is memory short? Try again"
            )
        if len(self.names) > 1:
            singles = enumerate(self.names, self.start)
            return Decoded(), [_Chunk(position, [name], self.known) for position, name in singles]
        (name,) = self.names
        if name in self.known:
            return Decoded(refused=[Refused(self.start, *self.known[name])]), []
        return Decoded(), [_Chunk(self.start, [name], {name: _explain(death.exitcode)})]


def decode_files(
    images: Reader, names: Sequence[str], data: DataConfig, workers: int, known: Mapping[str, Why]
) -> Iterator[Decoded]:
    """Read, check, strip, decode and fingerprint files in processes of their own; some at a time, in their order.

    What a process dies of, or works on for more than 2 s and 1 s per megabyte, is found by trying the files of its
    chunk one by one, and refused: `decoder_crashed`, `decoder_timeout`. Memory is that of a few chunks.

    :param workers: Processes at most; they end with the iterator, and with this process however it ends.
    :param known: Files that are refused whatever they hold, and why; they are read for their digest.
    :raises TransientError: the processes could not be started, or were killed from outside.
    """
    workers = max(1, min(workers, -(-len(names) // CHUNK_FILES)))
    ahead = workers * CHUNKS_AHEAD
    chunks = _cut_chunks(names, known)
    waiting: deque[_Chunk] = deque()
    with _start_pool(images, data, workers) as pool:
        while True:
            waiting.extend(islice(chunks, max(0, ahead - len(waiting))))
            if not waiting:
                return
            for chunk in islice(waiting, ahead):
                chunk.schedule(pool)
            decoded, left = waiting.popleft().collect()
            waiting.extendleft(reversed(left))
            if len(decoded):
                yield decoded


def count_workers(shards: int) -> int:
    """Return how many processes one of several shards may use, so that together they use every core."""
    return max(1, len(os.sched_getaffinity(0)) // shards)


def _cut_chunks(names: Sequence[str], known: Mapping[str, Why]) -> Iterator[_Chunk]:
    for start in range(0, len(names), CHUNK_FILES):
        chunk = names[start : start + CHUNK_FILES]
        yield _Chunk(start, chunk, {name: known[name] for name in chunk if name in known})


def _explain(code: int) -> Why:
    if code in TOO_SLOW:
        return "decoder_timeout", f"not decoded within {DECODER_SECONDS:g} s of work and 1 s more per megabyte"
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return "decoder_crashed", f"the decoder died of it: {cause}"


class _Process(ForkServerProcess):
    """A process that does not import its parent's main module, which in a task is all of Airflow: 2 s each.

    Tasks of Celery are daemons, which may have no children lest they leave them behind; these end with their parent.
    Celery's own kind of process also keeps its key in a class that no other kind may hand on.
    """

    _starting = threading.Lock()

    def start(self) -> None:
        parent: Any = current_process()
        with self._starting:
            main, config = sys.modules["__main__"], parent._config
            sys.modules["__main__"] = ModuleType("__main__")
            parent._config = {**config, "daemon": False, "authkey": AuthenticationString(parent.authkey)}
            self._config: dict[str, Any] = {**parent._config, "daemon": True}
            try:
                super().start()
            finally:
                sys.modules["__main__"], parent._config = main, config


class _Context(ForkServerContext):
    Process = _Process


@contextmanager
def _start_pool(images: Reader, data: DataConfig, workers: int) -> Iterator[ProcessPool]:
    context = _Context()
    context.set_forkserver_preload(["include.data.chunks", "pebble.pool.process"])
    pool = ProcessPool(
        workers, initializer=enter, initargs=(images, data, CHUNK_SECONDS, {**os.environ}), context=context
    )
    try:
        yield pool
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
