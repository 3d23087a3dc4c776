import numpy as np
import pyarrow as pa
import pytest

from benchmarks.planted_causes import plant
from benchmarks.planted_release import CLASSES, log_window, publish_images, publish_release
from include.monitoring.evidence import read_answers
from include.monitoring.observations import (
    Sample,
    open_lens,
    read_kept,
    read_known,
    scaler,
    to_sample,
)
from include.vision.decoding import encode_canonical
from include.vision.releases import open_release, release_address
from tests.include.monitoring.plain_network import plain_ground


@pytest.fixture
def ground():
    return plain_ground()


@pytest.fixture
def release(ground, store):
    return publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store)


@pytest.fixture
def bundle(store, ground, release):
    return open_release(store, release_address(ground.project.name, release))


@pytest.fixture
def rows(ground, store, release):
    drift = log_window(plant("lighting", ground.live, 0)[0], ground.graph, release, ground.project, store, 0)
    return read_answers(ground.project, drift, store)


def test_logged_rows_and_their_images_are_the_same_numbers(ground, bundle, rows):
    lens = open_lens(bundle, rows)
    logged = to_sample(rows, lens)
    observed = lens.observe(plant("lighting", ground.live, 0)[0].images)
    for name in ("statistics", "seen", "probabilities"):
        assert getattr(observed, name) == pytest.approx(getattr(logged, name), abs=1e-4)
    assert (observed.answers == logged.answers).all()
    assert {"width", "height"}.isdisjoint(lens.names)


@pytest.mark.parametrize("missing", ["embedding", "noise"])
def test_what_was_not_logged_throughout_is_not_looked_at(bundle, rows, missing):
    place = rows.schema.get_field_index(missing)
    holed = pa.array([None, *rows[missing].to_pylist()[1:]], rows.schema.field(missing).type)
    lens = open_lens(bundle, rows.set_column(place, missing, holed))
    assert lens.embedded == (missing != "embedding")
    assert ("noise" in lens.names) == (missing != "noise")
    assert to_sample(rows, lens).seen.shape[1] == (32 if lens.embedded else len(CLASSES))


def test_images_of_any_sizes_are_observed_in_their_order(bundle, rows, ground):
    lens = open_lens(bundle, rows)
    images = ground.certified.images[:20]
    together = lens.observe(images)
    assert np.vstack([lens.observe([image]).probabilities for image in images]) == pytest.approx(
        together.probabilities, abs=1e-5
    )
    assert len(together.take(together.answers == together.answers[0])) >= 1


def test_known_images_come_with_their_labels_and_golden_ones_without(ground, store, bundle):
    golden = read_known(bundle, store, 64)
    assert len(golden.images) == 16
    assert (golden.labels == -1).all()
    publish_images(ground.certified, ground.project, store)
    known = read_known(bundle, store, 64)
    assert len(known.images) == 64
    assert set(known.labels) == set(range(9))


def test_kept_images_that_are_gone_or_damaged_are_left_out(ground, store, bundle, rows):
    image = ground.certified.images[0]
    store.write("digits/images/served/a", encode_canonical(image))
    store.write("digits/images/served/b", b"no image")
    kept = [f"digits/images/served/{name}" for name in "abc"] + [None] * (rows.num_rows - 3)
    table = rows.set_column(rows.schema.get_field_index("image"), "image", pa.array(kept, pa.string()))
    found = read_kept(table, store, 5, bundle)
    assert list(found) == ["request-0"]
    assert np.array_equal(found["request-0"], image)
    assert read_kept(rows, store, 5, bundle) == {}


def test_scaling_is_blind_to_units_and_knows_its_own_images():
    random = np.random.default_rng(2)
    sample = Sample(random.normal(5, 1, (60, 1)), random.normal(size=(60, 4)), np.full((60, 2), 0.5))
    larger = Sample(sample.statistics * 1000, sample.seen * 1000, sample.probabilities)
    blocks, scaled = scaler(sample, ["brightness"])(sample, True), scaler(larger, ["brightness"])(larger, True)
    assert all(one == pytest.approx(other, abs=1e-6) for one, other in zip(blocks, scaled, strict=True))
    oddness = blocks[-1][:, 0]
    assert np.median(oddness) == pytest.approx(0, abs=1e-3)
    assert scaler(sample, ["brightness"])(sample, False)[-1].mean() < oddness.mean()


def test_a_reference_of_one_image_is_no_error():
    one = Sample(np.ones((1, 1)), np.ones((1, 3)), np.ones((1, 2)))
    assert all(np.isfinite(block).all() for block in scaler(one, ["noise"])(one, True))
