"""Near-duplicates: images that are not equal, but show the same picture.

Candidates are neighbours by perceptual hash (multi-index hashing: Norouzi, Punjani and Fleet, "Fast exact search in
Hamming space with multi-index hashing", 2014), confirmed by the distance of their embeddings.
"""

from collections.abc import Iterator

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

HASH_BITS = 64
EMBEDDING = 256
CHUNK = 256
PAIRS = 16_384
# Root mean square of the difference of standardised lumas; 0.1 is a correlation of 0.995. Photographs of one specimen
# of handwriting are at most 0.04 apart, those of any two specimens at least 0.16.
MAX_DISTANCE = 0.1
# Below this spread, in grey levels, an image is flat, and its texture is noise that standardising would blow up.
MIN_SPREAD = 8.0
SEALED = ("test", "validation")


def find_twins(phash: NDArray[np.int64], embedding: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    """Find the pairs of near-duplicates, as row numbers [K, 2] with the smaller one first, in order.

    Rows equal in hash and embedding are paired with the first of them only, so that a thousand black images make a
    thousand pairs and not a million.

    :param phash: 64-bit perceptual hashes [N].
    :param embedding: 16 x 16 luma [N, 256].
    :param bits: Largest Hamming distance of a candidate pair.
    """
    first, belongs = _merge_equal(phash, embedding)
    pairs = [np.empty((0, 2), np.int64), *(first[found] for found in _search(phash[first], embedding[first], bits))]
    rows = np.arange(len(phash))
    equal = np.stack([first[belongs], rows], axis=1)[first[belongs] != rows]
    found = np.sort(np.concatenate([*pairs, equal]), axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def find_leaks(rows: pa.Table, split: str, bits: int) -> NDArray[np.bool_]:
    """Tell which rows of a split have a near-duplicate on a side that is more sealed: [N], False for other splits.

    The test split is more sealed than validation, and that more than train; so a test image never leaks.

    :param rows: Columns `split`, `phash` and `embedding`.
    :param bits: As in `find_twins`; 0 looks for none.
    """
    if not bits:
        return np.zeros(rows.num_rows, dtype=bool)
    splits = rows["split"].to_numpy(zero_copy_only=False)
    phash, embedding = read_fingerprints(rows)
    first, belongs = _merge_equal(phash, embedding)
    guarded = {"train": SEALED, "validation": SEALED[:1]}.get(split, ())
    sealed = np.zeros(len(first), dtype=bool)
    np.logical_or.at(sealed, belongs, np.isin(splits, guarded))
    tainted = sealed.copy()
    for found in _search(phash[first], embedding[first], bits):
        for here, there in (found.T, found.T[::-1]):
            np.logical_or.at(tainted, here, sealed[there])
    return np.asarray(tainted[belongs] & (splits == split))


def read_fingerprints(rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the columns `phash`, int64 [N], and `embedding`, uint8 [N, 256]."""
    embedding = b"".join(rows["embedding"].to_pylist())
    return rows["phash"].to_numpy(), np.frombuffer(embedding, np.uint8).reshape(-1, EMBEDDING)


def _merge_equal(phash: NDArray[np.int64], embedding: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each distinct fingerprint, and for each row the number of its own."""
    joined = np.concatenate([phash[:, np.newaxis].view(np.uint8), embedding], axis=1)
    names = np.ascontiguousarray(joined).view(np.dtype((np.void, joined.shape[1])))[:, 0]
    _, first, belongs = np.unique(names, return_index=True, return_inverse=True)
    return first, belongs


def _search(phash: NDArray[np.int64], embedding: NDArray[np.uint8], bits: int) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of different fingerprints that are near by hash and by embedding."""
    codes = np.ascontiguousarray(phash[:, np.newaxis].view(np.uint8))
    # Hashes at most `bits` apart agree in at least one of `bits + 1` pieces.
    index = faiss.IndexBinaryMultiHash(HASH_BITS, bits + 1, HASH_BITS // (bits + 1))
    if len(codes):
        index.add(codes)
    for start in range(0, len(codes), CHUNK):
        limits, _, neighbours = index.range_search(codes[start : start + CHUNK], bits + 1)
        here = np.repeat(np.arange(start, start + len(limits) - 1), (limits[1:] - limits[:-1]).astype(np.int64))
        pairs = np.stack([here, neighbours], axis=1)[here < neighbours]
        for some in np.split(pairs, range(PAIRS, len(pairs), PAIRS)):
            yield some[_distance(embedding[some[:, 0]], embedding[some[:, 1]]) <= MAX_DISTANCE]


def _distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    difference = _standardise(one) - _standardise(other)
    distance: NDArray[np.float32] = np.sqrt(np.square(difference).mean(axis=1))
    return distance


def _standardise(embedding: NDArray[np.uint8]) -> NDArray[np.float32]:
    luma = embedding.astype(np.float32)
    spread = np.maximum(luma.std(axis=1, keepdims=True), np.float32(MIN_SPREAD))
    standard: NDArray[np.float32] = (luma - luma.mean(axis=1, keepdims=True)) / spread
    return standard
