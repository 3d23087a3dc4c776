import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.camera import CLEAN_LENS
from examples.camera.lens import photograph
from include.vision.fingerprints import fingerprint
from include.vision.stored_images import decode_stored
from include.vision.twins import find_leaks, find_twins, read_fingerprints

RANDOM = np.random.default_rng(5)


def make_fingerprints(count):
    phash = RANDOM.integers(-(2**63), 2**63 - 1, count, dtype=np.int64)
    return phash, RANDOM.integers(0, 256, (count, 256), dtype=np.uint8)


def make_rows(phash, embedding, splits):
    binary = pa.array([row.tobytes() for row in embedding], pa.binary(256))
    return pa.table({"split": splits, "phash": phash, "embedding": binary})


def flip(phash, bits):
    return phash ^ np.int64((1 << bits) - 1)


def count_bits(one, other):
    return (int(one ^ other) & (2**64 - 1)).bit_count()


@pytest.mark.parametrize(("apart", "found"), [(0, True), (4, True), (5, False)])
def test_twins_are_near_by_hash(apart, found):
    phash, embedding = make_fingerprints(50)
    phash[31], embedding[31] = flip(phash[8], apart), embedding[8]
    embedding[31, 0] ^= 1  # near, and not equal
    assert find_twins(phash, embedding, bits=4).tolist() == ([[8, 31]] if found else [])


def test_a_near_hash_of_another_picture_makes_no_twin():
    phash, embedding = make_fingerprints(50)
    phash[31] = flip(phash[8], 1)
    assert len(find_twins(phash, embedding, bits=4)) == 0


def test_a_brighter_photograph_is_a_twin_all_the_same():
    phash, embedding = make_fingerprints(20)
    embedding[3] = 40 + embedding[3] // 4
    phash[7], embedding[7] = phash[3], embedding[3] + 30
    assert find_twins(phash, embedding, bits=0).tolist() == [[3, 7]]


def test_a_thousand_equal_images_make_a_thousand_pairs_and_not_a_million():
    phash, embedding = np.zeros(1000, np.int64), np.zeros((1000, 256), np.uint8)
    pairs = find_twins(phash, embedding, bits=4)
    assert pairs.tolist() == [[0, row] for row in range(1, 1000)]


def test_nothing_has_no_twins():
    phash, embedding = make_fingerprints(0)
    assert find_twins(phash, embedding, bits=4).shape == (0, 2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63), st.integers(0, 63)), max_size=30), st.integers(0, 6))
def test_the_search_finds_what_comparing_all_with_all_finds(flips, bits):
    phash = np.array([sum(1 << bit for bit in set(one)) for one in flips], dtype=np.uint64).astype(np.int64)
    embedding = np.zeros((len(flips), 256), np.uint8)
    np.fill_diagonal(embedding, 1)  # all near, none equal
    expected = [
        [here, there]
        for here in range(len(flips))
        for there in range(here + 1, len(flips))
        if count_bits(phash[here], phash[there]) <= bits
    ]
    assert find_twins(phash, embedding, bits).tolist() == expected


def test_what_is_examined_on_is_not_learned_from():
    phash, embedding = make_fingerprints(6)
    for twin in (1, 2, 3):
        phash[twin], embedding[twin] = flip(phash[0], twin), embedding[0]
    rows = make_rows(phash, embedding, ["test", "validation", "train", "test", "train", "validation"])
    assert find_leaks(rows, "train", 4).tolist() == [False, False, True, False, False, False]
    assert find_leaks(rows, "validation", 4).tolist() == [False, True, False, False, False, False]
    assert not find_leaks(rows, "test", 4).any()
    assert not find_leaks(rows, "train", 0).any()


def test_equal_fingerprints_leak_too():
    phash, embedding = make_fingerprints(3)
    phash[2], embedding[2] = phash[0], embedding[0]
    assert find_leaks(make_rows(phash, embedding, ["train", "train", "validation"]), "train", 4).tolist() == [
        True,
        False,
        False,
    ]


def test_twins_on_one_side_leak_nothing():
    phash, embedding = make_fingerprints(4)
    phash[1], embedding[1] = phash[0], embedding[0]
    assert not find_leaks(make_rows(phash, embedding, ["train", "train", "test", "validation"]), "train", 4).any()


def test_fingerprints_come_back_as_they_were_written():
    phash, embedding = make_fingerprints(4)
    hashes, embeddings = read_fingerprints(make_rows(phash, embedding, ["train"] * 4))
    assert hashes.tolist() == phash.tolist()
    assert (embeddings == embedding).all()
    assert read_fingerprints(make_rows(*make_fingerprints(0), pa.array([], pa.string())))[1].shape[0] == 0


def photograph_twice(specimens, lens):
    images = [photograph(specimen, lens, seed * 10_000 + specimen) for specimen in specimens for seed in (1, 2)]
    prints = fingerprint([decode_stored(image) for image in images])
    return find_twins(prints.phash, prints.embedding, bits=4), np.repeat(specimens, 2)


def test_photographs_of_one_specimen_are_twins_and_those_of_two_are_not():
    """Handwritten digits are as alike as different things get; what the tolerance must tell apart."""
    pairs, shown = photograph_twice(range(300), CLEAN_LENS)
    assert all(shown[here] == shown[there] for here, there in pairs)
    assert len(pairs) > 0.9 * 300
