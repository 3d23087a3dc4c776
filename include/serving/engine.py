"""Decode images and run graphs off the event loop; what queues up while a graph runs is its next batch."""

import asyncio
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from include.serving.admission import Admission, refuse_overload
from include.serving.crew import Crew
from include.serving.model import ModelFailedError, Output, ServedModel
from include.serving.refusals import UNREADABLE_STATUS, RefusedRequestError, refuse_image
from include.vision.decoding import RejectedImageError, decode_image
from include.vision.releases import DecodingLimits

DECODE_SECONDS = 5.0
MAX_BATCH = 32
# A batch of large images gains nothing over its images one by one, and takes their memory a second time.
MAX_BATCH_BYTES = 16 * 2**20
PIXEL_BYTES = 512 * 2**20
# Small files of one request are decoded together: to send a thread on an errand costs as much as one of them.
ERRAND_BYTES = 64 * 2**10


class _Waiting(NamedTuple):
    model: ServedModel
    image: NDArray[np.uint8]
    answer: "asyncio.Future[Output]"


class Engine:
    """The threads that do the work of one serving process; used from one event loop.

    Batches are as Clipper's (Crankshaw et al., NSDI 2017), but nothing ever waits for a batch to fill.

    :param threads: How many images are decoded, and how many graphs run, at the same time.
    """

    def __init__(self, threads: int) -> None:
        self.batch_sizes = Histogram(
            "windhover_batch_images",
            "Images of one run of a graph.",
            buckets=(1, 2, 4, 8, 16, MAX_BATCH),
            registry=None,
        )
        self.pixels = Admission(PIXEL_BYTES, "bytes of pixels")
        self._decoders = Crew(threads, "decoding")
        self._graphs = Crew(threads, "inference")
        self._idle = threads
        # By model and shape, the lane that waits longest first.
        self._lanes: dict[tuple[int, tuple[int, ...]], deque[_Waiting]] = {}
        self._batches: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many images wait for a graph right now."""
        return sum(map(len, self._lanes.values()))

    async def decode(
        self, files: Sequence[bytes], limits: DecodingLimits
    ) -> list[NDArray[np.uint8] | RefusedRequestError]:
        """Decode untrusted image files to RGB, upright, uint8 [H, W, 3], or tell of each why not.

        A refusal is 4xx where the file is no acceptable image; 422, decoding takes too long; 429, its turn does not
        come, or memory is short.
        """
        errands = [
            (self._decoders.begin(partial(self._decode_all, some, limits)), len(some)) for some in _divide(files)
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(DECODE_SECONDS):
                for job, _ in errands:
                    await job.result
        found: list[NDArray[np.uint8] | RefusedRequestError] = []
        for job, count in errands:
            # The errand that was waited for when time was up is cancelled already.
            if job.result.done() and not job.result.cancelled():
                found += job.result.result()
            else:
                job.result.cancel()
                found += [_refuse_slow(began=job.began)] * count
        return found

    def run(self, model: ServedModel, image: NDArray[np.uint8]) -> "asyncio.Future[Output]":
        """Ask a model about one image, uint8 [H, W, 3], in a batch with whatever else waits for the same graph.

        What is returned raises `ModelFailedError` where the model has no answer to this very image.
        """
        answer: asyncio.Future[Output] = asyncio.get_running_loop().create_future()
        lane = self._lanes.setdefault((id(model), image.shape), deque())
        lane.append(_Waiting(model, image, answer))
        # Not at once: what the same request asks next belongs into the same batch.
        asyncio.get_running_loop().call_soon(self._start_batches)
        return answer

    def close(self) -> None:
        """End the threads, once they have done what they are at."""
        self._decoders.close()
        self._graphs.close()

    def _decode_all(
        self, files: Sequence[bytes], limits: DecodingLimits
    ) -> list[NDArray[np.uint8] | RefusedRequestError]:
        return [self._decode(data, limits) for data in files]

    def _decode(self, data: bytes, limits: DecodingLimits) -> NDArray[np.uint8] | RefusedRequestError:
        try:
            image = decode_image(data, **limits.model_dump())
            self.pixels.take(image.nbytes)
        except RejectedImageError as error:
            return refuse_image(error)
        except RefusedRequestError as refusal:
            # Its traceback would hold the pixels of this image and of those before it.
            return refusal.with_traceback(None)
        # Nobody knows who will let go of the pixels last: the answer, a comparison, or the copy that is kept.
        weakref.finalize(image, self.pixels.give, image.nbytes).atexit = False
        return image

    def _start_batches(self) -> None:
        while self._idle and self._lanes:
            batch = self._take_batch()
            if not batch:
                continue
            self._idle -= 1
            task = asyncio.create_task(self._answer(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    def _take_batch(self) -> list[_Waiting]:
        """Take from the lane that waits longest; what is left of it goes behind the others."""
        key = next(iter(self._lanes))
        lane = self._lanes.pop(key)
        most = max(1, min(MAX_BATCH, MAX_BATCH_BYTES // max(1, lane[0].image.nbytes)))
        taken = [lane.popleft() for _ in range(min(most, len(lane)))]
        if lane:
            self._lanes[key] = lane
        # Who gave up while waiting is not answered.
        return [waiting for waiting in taken if not waiting.answer.done()]

    async def _answer(self, batch: list[_Waiting]) -> None:
        self.batch_sizes.observe(len(batch))
        images = [waiting.image for waiting in batch]
        try:
            results = await self._graphs.begin(partial(_ask, batch[0].model, images)).result
        except RuntimeError:
            # Closed meanwhile; nobody may be left waiting for ever.
            results = [ModelFailedError("the engine is closed")] * len(batch)
        finally:
            self._idle += 1
            self._start_batches()
        for waiting, result in zip(batch, results, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)


def _ask(model: ServedModel, images: list[NDArray[np.uint8]]) -> list[Output | Exception]:
    """Run a batch; where it fails, its images one by one, so that the failure of one is not that of all."""
    try:
        outputs = model.run(np.stack(images))
        if len(outputs) != len(images):
            raise ModelFailedError(f"the model answers {len(outputs)} of {len(images)} images")
        return list(outputs)
    except Exception as error:  # noqa: BLE001 - whatever fails, memory or graph, is this batch's failure only
        if len(images) == 1:
            return [error]
        return [result for image in images for result in _ask(model, [image])]


def _divide(files: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Return the files in their order, in parts that one thread decodes."""
    part: list[bytes] = []
    size = 0
    for data in files:
        if part and size + len(data) > ERRAND_BYTES:
            yield part
            part, size = [], 0
        part.append(data)
        size += len(data)
    if part:
        yield part


def _refuse_slow(*, began: bool) -> RefusedRequestError:
    if began:
        reason = f"the image could not be decoded within {DECODE_SECONDS:g} s"
        return RefusedRequestError(UNREADABLE_STATUS, "too_slow_to_decode", reason, "send a smaller or simpler image")
    reason = f"no thread came free for this image within {DECODE_SECONDS:g} s"
    return refuse_overload(reason)
