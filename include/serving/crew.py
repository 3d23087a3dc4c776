"""Threads that work for an event loop, and wake it once for all that they have finished meanwhile."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

Result = TypeVar("Result")


class Job(Generic[Result]):
    """A piece of work, and where its result will be."""

    def __init__(self, work: Callable[[], Result], result: "asyncio.Future[Result]") -> None:
        self.work = work
        self.result = result
        self.began = False


class _Finished(NamedTuple):
    job: Job[Any]
    value: Any
    error: BaseException | None


class Crew:
    """Threads for work that must not hold up an event loop.

    Under load, a thread pool of the standard library wakes the loop, and takes the interpreter's lock from the others,
    once for every piece of work; that costs several times what a small image does.

    :param threads: How many.
    :param name: What they are called.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._finished: deque[_Finished] = deque()
        self._is_loop_called = False
        self._is_closed = False
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def begin(self, work: Callable[[], Result]) -> Job[Result]:
        """Have a piece of work done, after all that was begun before; await its `result`.

        :raises RuntimeError: the crew has been closed.
        """
        if self._is_closed:
            raise RuntimeError("the crew has gone home")
        job = Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        return job

    def close(self) -> None:
        """End the threads, once everything that was begun is done."""
        self._is_closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while job := self._jobs.get():
            # Who no longer waits gets nothing.
            if not job.result.done():
                job.began = True
                self._finish(job)
            del job

    def _finish(self, job: Job[Any]) -> None:
        try:
            finished = _Finished(job, job.work(), None)
        except StopIteration as error:
            # The one exception that no future takes.
            finished = _Finished(job, None, RuntimeError(repr(error)))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            finished = _Finished(job, None, error)
        self._finished.append(finished)
        # Appended before looking here, delivered after clearing there: nothing is left behind.
        if not self._is_loop_called:
            self._is_loop_called = True
            try:
                job.result.get_loop().call_soon_threadsafe(self._deliver)
            except RuntimeError:
                # The loop is closed; nobody waits.
                self._is_loop_called = False

    def _deliver(self) -> None:
        self._is_loop_called = False
        while self._finished:
            job, value, error = self._finished.popleft()
            if job.result.done():
                continue
            if error is None:
                job.result.set_result(value)
            else:
                job.result.set_exception(error)
