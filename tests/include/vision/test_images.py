import dataclasses

import lance
import numpy as np
import pyarrow as pa
import pytest

from include.contracts import DatasetRef
from include.errors import ArtifactNotFoundError
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.images import digest_rows, read_split, split_digest


def make_rows(digit_images, count, *, unlabelled=0, partition="2026-11-02"):
    rows = []
    for index, (pixels, label) in enumerate(digit_images[:count]):
        image = encode_canonical(pixels)
        rows.append(
            {
                "digest": digest_bytes(image),
                "image": image,
                "partition": partition,
                "group": f"specimen-{index}",
                "label": None if index < unlabelled else label,
                "split": ("train", "test")[index % 2],
            }
        )
    # The type of a column in which everything is missing cannot be guessed.
    schema = pa.schema([(name, pa.large_binary() if name == "image" else pa.string()) for name in rows[0]])
    return pa.Table.from_pylist(rows, schema=schema)


def refer(dataset, table):
    return DatasetRef(
        project="digits",
        address="digits/images.lance",
        version=dataset.version,
        digest=digest_rows(table),
        images=table.num_rows,
        labelled=table.num_rows - table["label"].null_count,
    )


@pytest.fixture
def write(store):
    def write(table):
        path = store.path("digits/images.lance")
        path.parent.mkdir(parents=True, exist_ok=True)
        return refer(lance.write_dataset(table, str(path), mode="overwrite"), table)

    return write


def test_reads_labelled_images_of_one_split_in_digest_order(write, store, digit_images):
    read = read_split(write(make_rows(digit_images, 20, unlabelled=4)), store, "train")
    assert len(read.images) == len(read.labels) == 8
    assert read.digests == sorted(read.digests)
    pixels = {digest_bytes(encode_canonical(image)): (image, label) for image, label in digit_images}
    for image, label, digest in zip(read.images, read.labels, read.digests, strict=True):
        assert (image == pixels[digest][0]).all()
        assert label == pixels[digest][1]
        assert (image.dtype, image.shape) == (np.uint8, (32, 32, 3))
    assert set(read.partitions) == {"2026-11-02"}
    assert len(set(read.groups)) == 8


def test_an_older_version_reads_as_it_was(write, store, digit_images):
    before = write(make_rows(digit_images, 10))
    first = read_split(before, store, "train")
    write(make_rows(digit_images, 30))
    assert read_split(before, store, "train").digests == first.digests


def test_a_split_without_labels_is_empty(write, store, digit_images):
    read = read_split(write(make_rows(digit_images, 6, unlabelled=6)), store, "train")
    assert read.images == []
    assert split_digest(read) == digest_bytes(b"")


def test_a_missing_version_is_an_error(write, store, digit_images):
    dataset = write(make_rows(digit_images, 6))
    with pytest.raises(ArtifactNotFoundError, match="no version 99"):
        read_split(dataset.model_copy(update={"version": 99}), store, "train")
    with pytest.raises(ArtifactNotFoundError, match="elsewhere"):
        read_split(dataset.model_copy(update={"address": "elsewhere.lance"}), store, "train")


def test_a_rebuilt_dataset_is_not_taken_for_the_one_referred_to(write, store, digit_images):
    dataset = write(make_rows(digit_images, 6))
    other = dataset.model_copy(update={"digest": digest_bytes(b"other")})
    with pytest.raises(ArtifactNotFoundError, match="was rebuilt"):
        read_split(other, store, "train")


def test_the_split_digest_names_images_and_labels_only(write, store, digit_images):
    read = read_split(write(make_rows(digit_images, 20)), store, "train")
    turned = dataclasses.replace(read, labels=read.labels[::-1], digests=read.digests[::-1], groups=["x"] * 10)
    assert split_digest(turned) == split_digest(read)
    relabelled = dataclasses.replace(read, labels=["0"] * 10)
    assert split_digest(relabelled) != split_digest(read)


def test_row_order_does_not_change_the_dataset_digest(digit_images):
    table = make_rows(digit_images, 20, unlabelled=3)
    assert digest_rows(table.take(list(range(19, -1, -1)))) == digest_rows(table)
    relabelled = table.set_column(4, "label", pa.array(["0"] * 20))
    assert digest_rows(relabelled) != digest_rows(table)
