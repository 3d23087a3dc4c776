"""Compare two releases on the same images, off the path of the requests."""

import logging
import os
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from include.serving.model import ModelFailedError, ServedModel
from include.serving.plan import LivePlan
from include.serving.recorder import Recorder

MAX_WAITING = 64
MAX_WAITING_BYTES = 64 * 2**20
# Behind the threads that answer, and before what a machine does when it has nothing else to do.
NICENESS = 10

logger = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    live: LivePlan
    other: ServedModel
    request_id: str
    image: NDArray[np.uint8]


class _Trial(NamedTuple):
    """What one release made of one image, alone in its batch."""

    shares: dict[str, float]
    failed: str | None
    ms: float


class Comparer:
    """The thread that compares; it never makes a request wait: what does not fit into its queue is dropped."""

    def __init__(self, recorder: Recorder) -> None:
        self.dropped = 0
        self._recorder = recorder
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._compared = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._compare_all, name="comparing", daemon=True)

    def start(self) -> None:
        """Compare until told to stop."""
        self._thread.start()

    def stop(self) -> None:
        """End after the comparison that is under way; those that wait are dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def offer(self, live: LivePlan, request_id: str, image: NDArray[np.uint8]) -> None:
        """Compare champion and candidate on an image, uint8 [H, W, 3]; without a candidate, champion and previous.

        Where there is neither, nothing is compared.
        """
        other = live.candidate or live.previous
        if other is None:
            return
        with self._changed:
            fits = len(self._waiting) < MAX_WAITING and self._bytes + image.nbytes <= MAX_WAITING_BYTES
            if self._waiting and not fits:
                self.dropped += 1
                return
            self._waiting.append(_Waiting(live, other, request_id, image))
            self._bytes += image.nbytes
            self._changed.notify()

    def _compare_all(self) -> None:
        if sys.platform == "linux":
            # There, priorities are those of threads.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.nice(0) + NICENESS))
        while (waiting := self._take()) is not None:
            try:
                self._recorder.append("comparisons", [self._compare(waiting)])
            except Exception:
                # A full disk, or a defect of ours; neither may end the thread.
                logger.exception("the comparison of %s is lost", waiting.request_id)

    def _take(self) -> _Waiting | None:
        with self._changed:
            while not self._waiting and not self._stopping:
                self._changed.wait()
            if self._stopping:
                return None
            taken = self._waiting.popleft()
            self._bytes -= taken.image.nbytes
            return taken

    def _compare(self, waiting: _Waiting) -> dict[str, Any]:
        models = {"champion": waiting.live.champion, "other": waiting.other}
        # Who comes second finds warm caches; taking turns, neither gains by it.
        order = sorted(models, reverse=self._compared % 2 == 1)
        trials = {side: _try(models[side], waiting.image) for side in order}
        self._compared += 1
        row: dict[str, Any] = {
            "request_id": waiting.request_id,
            "time": datetime.now(UTC),
            "project": waiting.live.plan.project,
            "revision": waiting.live.plan.revision,
            "difference": _difference(*trials.values()),
        }
        for side, trial in trials.items():
            row[f"{side}_release"] = models[side].release.digest
            row[f"{side}_predicted"] = max(trial.shares, key=lambda name: trial.shares[name], default=None)
            row[f"{side}_failed"] = trial.failed
            row[f"{side}_ms"] = trial.ms
        return row


def _try(model: ServedModel, image: NDArray[np.uint8]) -> _Trial:
    """Run a model alone on an image; its time is the processor's, so that what else runs plays no part in it."""
    started = time.thread_time()
    try:
        output = model.run(image[None])[0]
    except ModelFailedError as error:
        return _Trial({}, str(error), (time.thread_time() - started) * 1000)
    elapsed = (time.thread_time() - started) * 1000
    return _Trial(dict(zip(model.manifest.classes, output.probabilities.tolist(), strict=True)), None, elapsed)


def _difference(first: _Trial, second: _Trial) -> float | None:
    """Return the largest absolute difference in probability; a class that one does not know has none there."""
    if first.failed or second.failed:
        return None
    names = first.shares.keys() | second.shares.keys()
    return max(abs(first.shares.get(name, 0.0) - second.shares.get(name, 0.0)) for name in names)
