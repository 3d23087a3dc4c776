import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.vision.ood import MIN_IMAGES, fit_ood, read_ood

CLASSES = 4
SIZE = 16


def draw(images: int, seed: int, away: float = 0.0):
    """Embeddings around one centre for each class, and how sure a network is of them."""
    chance = np.random.default_rng(seed)
    classes = chance.integers(CLASSES, size=images)
    embeddings = chance.normal(0, 1, (images, SIZE)) + 6 * np.eye(SIZE)[classes] + away
    return embeddings.astype(np.float32), [str(one) for one in classes], chance.beta(30, 2, images).astype(np.float32)


def write(columns) -> pa.BufferReader:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return pa.BufferReader(buffer.getvalue())


@pytest.mark.parametrize("images", [60, 200, 1000])
def test_one_certified_image_in_a_hundred_is_odder_than_one(images):
    score = fit_ood(*draw(images, 1))
    odd = score.measure(*draw(4000, 2)[::2]) > 1
    # With few images the clusters are uncertain, and the score is careful not to call healthy ones odd.
    assert (0 if images < 100 else 0.003) <= odd.mean() < 0.03


def test_what_lies_elsewhere_is_odd_however_sure_the_network_is():
    score = fit_ood(*draw(300, 1))
    embeddings, _, _ = draw(200, 3, away=3.0)
    assert (score.measure(embeddings, np.full(200, 0.9999, np.float32)) > 1).mean() > 0.99


def test_doubt_makes_an_image_odd_where_it_lies_among_the_others():
    score = fit_ood(*draw(300, 1))
    embeddings, _, sure = draw(200, 4)
    assert (score.measure(embeddings, np.full(200, 0.4, np.float32)) > score.measure(embeddings, sure)).all()


def test_a_network_that_is_always_sure_leaves_the_score_finite():
    embeddings, answers, _ = draw(100, 1)
    score = fit_ood(embeddings, answers, np.ones(100, np.float32))
    assert np.isfinite(score.measure(embeddings, np.linspace(0, 1, 100, dtype=np.float32))).all()


@pytest.mark.parametrize("embeddings", [np.zeros((50, SIZE)), np.ones((50, 1)), np.eye(50)], ids=["0", "1", "eye"])
def test_embeddings_that_tell_nothing_break_nothing(embeddings):
    score = fit_ood(embeddings.astype(np.float32), ["a"] * 50, np.linspace(0.5, 1, 50).astype(np.float32))
    assert np.isfinite(score.measure(embeddings[:5].astype(np.float32) + 9, np.full(5, 0.5, np.float32))).all()


def test_a_class_of_one_image_breaks_nothing():
    embeddings, answers, sure = draw(60, 1)
    score = fit_ood(embeddings, ["alone", *answers[1:]], sure)
    assert np.isfinite(score.measure(embeddings, sure)).all()


def test_too_few_images_tell_nothing():
    assert fit_ood(*draw(MIN_IMAGES - 1, 1)) is None
    assert fit_ood(*draw(MIN_IMAGES, 1)) is not None


def test_a_reference_is_read_back():
    embeddings, answers, sure = draw(100, 1)
    read = read_ood(write({"embedding": embeddings.tolist(), "predicted": answers, "confidence": sure}))
    fitted = fit_ood(embeddings, answers, sure)
    assert read.measure(embeddings, sure) == pytest.approx(fitted.measure(embeddings, sure))


@pytest.mark.parametrize(
    "columns",
    [
        {"predicted": ["1"] * 50},
        {"predicted": ["1"] * 50, "confidence": [0.5] * 50, "embedding": pa.array([None] * 50, pa.list_(pa.float32()))},
        {"predicted": ["1"] * 50, "confidence": [0.5] * 50, "embedding": [[float("nan")]] * 50},
        {"predicted": [], "confidence": [], "embedding": pa.array([], pa.list_(pa.float32()))},
    ],
    ids=["older", "imported", "no numbers", "empty"],
)
def test_a_reference_that_says_too_little_gives_no_score(columns):
    assert read_ood(write(columns)) is None


def test_a_reference_that_is_no_table_is_an_error():
    with pytest.raises(pa.ArrowException):
        read_ood(pa.BufferReader(b"not a table"))
