"""Batches of one real graph, held up and made to fail on purpose."""

import asyncio
import dataclasses
import gc
import threading

import numpy as np
import pytest

import include.serving.engine as engine_module
from include.serving.admission import Admission
from include.serving.engine import Engine
from include.serving.model import ModelFailedError, load_model

POISON = 255


class Session:
    """A graph that can be held up, counts its batches, and fails wherever a poisoned image is among them."""

    def __init__(self, graph):
        self._graph = graph
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()

    def __getattr__(self, name):
        return getattr(self._graph, name)

    def run(self, outputs, inputs):
        self.entered.set()
        self.free.wait(30)
        images = inputs["images"]
        self.batches.append(len(images))
        if (images[:, 0, 0, 0] == POISON).any():
            raise RuntimeError("poisoned")
        return self._graph.run(outputs, inputs)


@pytest.fixture
def model(store, make_release):
    served = load_model(store, make_release(3))
    return dataclasses.replace(served, graph=Session(served.graph))


@pytest.fixture
def engine():
    engine = Engine(1)
    yield engine
    engine.close()


def grey(value, side=8):
    return np.full((side, side, 3), value, np.uint8)


async def ask_together(engine, model, images):
    """Ask about all images while the first one holds the graph up."""
    model.graph.free.clear()
    first = engine.run(model, images[0])
    await asyncio.to_thread(model.graph.entered.wait, 30)
    others = [engine.run(model, image) for image in images[1:]]
    while engine.waiting < len(others):
        await asyncio.sleep(0)
    model.graph.free.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_what_queues_up_while_the_graph_runs_is_one_batch_and_answered_as_if_alone(engine, model):
    images = [grey(value) for value in range(0, 200, 10)]
    alone = [model.run(image[None])[0].probabilities for image in images]
    model.graph.batches.clear()
    together = asyncio.run(ask_together(engine, model, images))
    assert model.graph.batches == [1, 19]
    assert np.allclose([output.probabilities for output in together], alone, atol=1e-6)
    assert len({output.probabilities.tobytes() for output in together}) == len(images)


def test_no_batch_is_larger_than_allowed(engine, model):
    answers = asyncio.run(ask_together(engine, model, [grey(9)] * 71))
    assert len(answers) == 71
    assert model.graph.batches == [1, 32, 32, 6]


def test_large_images_are_not_copied_together(engine, model, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_BATCH_BYTES", 2 * grey(0).nbytes)
    asyncio.run(ask_together(engine, model, [grey(9)] * 4))
    assert model.graph.batches == [1, 2, 1]


def test_the_failure_of_one_image_is_not_that_of_its_batch(engine, model):
    found = asyncio.run(ask_together(engine, model, [grey(1), grey(2), grey(POISON), grey(4)]))
    assert isinstance(found[2], ModelFailedError)
    assert [output.probabilities.shape for output in (found[0], found[1], found[3])] == [(10,)] * 3
    assert model.graph.batches == [1, 3, 1, 1, 1]


def test_models_and_shapes_are_not_mixed(engine, store, make_release, model):
    other = load_model(store, make_release(5))

    async def ask():
        images = [grey(7), grey(7, 16), grey(7), grey(7, 16)]
        mine = [engine.run(model, image) for image in images]
        return await asyncio.gather(*mine, *(engine.run(other, image) for image in images))

    favourites = [int(output.probabilities.argmax()) for output in asyncio.run(ask())]
    assert favourites == [3] * 4 + [5] * 4


def test_who_gave_up_is_not_answered(engine, model):
    async def ask():
        model.graph.free.clear()
        first = engine.run(model, grey(1))
        await asyncio.to_thread(model.graph.entered.wait, 30)
        second = engine.run(model, grey(2))
        second.cancel()
        third = engine.run(model, grey(3))
        await asyncio.sleep(0)
        model.graph.free.set()
        await asyncio.gather(first, third)

    asyncio.run(ask())
    assert model.graph.batches == [1, 1]


def test_closing_leaves_nobody_waiting(model):
    async def ask():
        engine = Engine(1)
        engine.close()
        await engine.run(model, grey(1))

    with pytest.raises(ModelFailedError, match="closed"):
        asyncio.run(asyncio.wait_for(ask(), 30))


def test_an_image_is_decoded_or_rejected(engine, model, png):
    limits = model.manifest.decoding
    first, refused, second = asyncio.run(engine.decode([png, b"no image", png], limits))
    assert (first == 90).all()
    assert (second == 90).all()
    assert refused.status == 422


def test_small_files_share_an_errand_and_large_ones_have_their_own(engine, model, png, monkeypatch):
    monkeypatch.setattr(engine_module, "ERRAND_BYTES", 2 * len(png))
    errands = []
    monkeypatch.setattr(engine, "_decode_all", lambda files, _: errands.append(len(files)) or list(files))
    files = [png, png, png, png * 3, png]
    assert asyncio.run(engine.decode(files, model.manifest.decoding)) == files
    assert errands == [2, 1, 1, 1]
    assert asyncio.run(engine.decode([], model.manifest.decoding)) == []


def test_decoding_has_an_end(engine, model, png, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(engine_module, "DECODE_SECONDS", 0.05)
    monkeypatch.setattr(engine_module, "decode_image", lambda *_, **__: held.wait(30))

    monkeypatch.setattr(engine_module, "ERRAND_BYTES", 1)
    begun, queued = asyncio.run(engine.decode([png, png], model.manifest.decoding))
    held.set()
    assert (begun.status, begun.refusal.error) == (422, "too_slow_to_decode")
    assert (queued.status, queued.refusal.error, queued.retry_after) == (429, "overloaded", 1)


def test_decoded_pixels_are_counted_for_as_long_as_anybody_holds_them(engine, model, png):
    engine.pixels = Admission(32 * 32 * 3, "bytes of pixels")
    image, refused = asyncio.run(engine.decode([png, png], model.manifest.decoding))
    assert engine.pixels.taken == image.nbytes
    assert refused.status == 429
    assert "bytes of pixels" in refused.refusal.reason
    del image
    gc.collect()
    assert engine.pixels.taken == 0
