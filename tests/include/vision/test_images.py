import dataclasses
from datetime import timedelta

import lance
import numpy as np
import pyarrow as pa
import pytest

from include.contracts import DatasetRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import DataConfig
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.images import (
    digest_rows,
    find_partition,
    read_rows,
    read_sealed_split,
    read_split,
    select_as_of,
    split_digest,
)
from include.vision.schema import IMAGES
from tests.include.rows import MOMENT, make_row

DATA = DataConfig()


def make_rows(digit_images, count, *, unlabelled=0):
    rows = [
        make_row(pixels, None if index < unlabelled else label, index, split=("train", "test")[index % 2])
        for index, (pixels, label) in enumerate(digit_images[:count])
    ]
    return pa.Table.from_pylist(rows, schema=IMAGES)


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
        return refer(lance.write_dataset(table, store.uri("digits/images.lance"), mode="overwrite"), table)

    return write


def test_reads_labelled_images_of_one_split_in_digest_order(write, store, digit_images):
    read = read_split(write(make_rows(digit_images, 20, unlabelled=4)), store, "train", DATA)
    assert len(read.images) == len(read.labels) == 8
    assert read.digests == sorted(read.digests)
    pixels = {digest_bytes(encode_canonical(image)): (image, label) for image, label in digit_images}
    for image, label, digest in zip(read.images, read.labels, read.digests, strict=True):
        assert (image == pixels[digest][0]).all()
        assert label == pixels[digest][1]
        assert (image.dtype, image.shape) == (np.uint8, (32, 32, 3))
    assert set(read.partitions) == {"2026-03-01"}
    assert len(set(read.groups)) == 8


def test_an_older_version_reads_as_it_was(write, store, digit_images):
    before = write(make_rows(digit_images, 10))
    first = read_split(before, store, "train", DATA)
    write(make_rows(digit_images, 30))
    assert read_split(before, store, "train", DATA).digests == first.digests


def test_a_split_without_labels_is_empty(write, store, digit_images):
    read = read_split(write(make_rows(digit_images, 6, unlabelled=6)), store, "train", DATA)
    assert list(read.images) == []
    assert split_digest(read) == digest_bytes(b"")


def test_a_missing_version_is_an_error(write, store, digit_images):
    dataset = write(make_rows(digit_images, 6))
    with pytest.raises(ArtifactNotFoundError, match="no version 99"):
        read_split(dataset.model_copy(update={"version": 99}), store, "train", DATA)
    with pytest.raises(ArtifactNotFoundError, match="elsewhere"):
        read_split(dataset.model_copy(update={"address": "elsewhere.lance"}), store, "train", DATA)


def test_a_rebuilt_dataset_is_not_taken_for_the_one_referred_to(write, store, digit_images):
    dataset = write(make_rows(digit_images, 6))
    other = dataset.model_copy(update={"digest": digest_bytes(b"other")})
    with pytest.raises(ArtifactNotFoundError, match="was rebuilt"):
        read_split(other, store, "train", DATA)


def test_the_split_digest_names_images_and_labels_only(write, store, digit_images):
    read = read_split(write(make_rows(digit_images, 20)), store, "train", DATA)
    turned = dataclasses.replace(read, labels=read.labels[::-1], digests=read.digests[::-1], groups=["x"] * 10)
    assert split_digest(turned) == split_digest(read)
    relabelled = dataclasses.replace(read, labels=["0"] * 10)
    assert split_digest(relabelled) != split_digest(read)


def test_row_order_does_not_change_the_dataset_digest(digit_images):
    table = make_rows(digit_images, 20, unlabelled=3)
    assert digest_rows(table.take(list(range(19, -1, -1)))) == digest_rows(table)
    relabelled = table.set_column(table.schema.get_field_index("label"), "label", pa.array(["0"] * 20))
    assert digest_rows(relabelled) != digest_rows(table)


def test_a_near_duplicate_of_a_test_image_is_not_trained_on(write, store, digit_images):
    pixels, label = digit_images[0]
    darker = np.where(pixels > 4, pixels - 4, pixels)
    rows = [
        make_row(pixels, label, 0, split="test"),
        make_row(darker, label, 1, split="train"),
        make_row(digit_images[1][0], digit_images[1][1], 2, split="train"),
        make_row(darker[::-1].copy(), label, 3, split="train"),
    ]
    dataset = write(pa.Table.from_pylist(rows, schema=IMAGES))
    assert set(read_split(dataset, store, "train", DATA).groups) == {"specimen-2", "specimen-3"}
    assert read_sealed_split(dataset, store, [])[0].groups == ["specimen-0"]
    unguarded = DATA.model_copy(update={"near_duplicate_bits": 0})
    assert len(read_split(dataset, store, "train", unguarded).groups) == 3


def make_history(digit_images):
    """Three images: seen and labelled at once, relabelled a day later, and seen and labelled a day later."""
    day = timedelta(days=1)
    relabelled = [{"label": "1", "known_at": MOMENT}, {"label": "2", "known_at": MOMENT + day}]
    late = [{"label": "3", "known_at": MOMENT + day}]
    rows = [
        make_row(digit_images[0][0], "0", 0),
        make_row(digit_images[1][0], "2", 1, labels=relabelled, known_at=MOMENT + day),
        make_row(digit_images[2][0], "3", 2, labels=late, known_at=MOMENT + day, observed_at=MOMENT + day / 2),
        make_row(digit_images[3][0], "3", 3, labels=late, known_at=MOMENT + day),
    ]
    return pa.Table.from_pylist(rows, schema=IMAGES)


@pytest.mark.parametrize(
    ("hours", "known"),
    [
        (-1, {}),
        (0, {"specimen-0": "0", "specimen-1": "1", "specimen-3": None}),
        (12, {"specimen-0": "0", "specimen-1": "1", "specimen-2": None, "specimen-3": None}),
        (24, {"specimen-0": "0", "specimen-1": "2", "specimen-2": "3", "specimen-3": "3"}),
    ],
)
def test_as_of_a_moment_only_what_was_known_then_is_read(write, store, digit_images, hours, known):
    dataset = write(make_history(digit_images))
    then = select_as_of(dataset, MOMENT + timedelta(hours=hours), store)
    rows = read_rows(then, store, ["group", "label"])
    assert dict(zip(rows["group"].to_pylist(), rows["label"].to_pylist(), strict=True)) == known
    assert (then.images, then.labelled) == (len(known), sum(label is not None for label in known.values()))
    assert set(read_split(then, store, "train", DATA).labels) == {label for label in known.values() if label}


def test_what_was_known_later_does_not_change_what_was_known_before(write, store, digit_images):
    table = make_history(digit_images)
    before = select_as_of(write(table.slice(0, 1)), MOMENT, store)
    later = pa.concat_tables([table.slice(0, 1), table.slice(2, 1)])
    assert select_as_of(write(later), MOMENT, store).digest == before.digest


def test_a_forged_moment_is_not_taken_for_the_one_referred_to(write, store, digit_images):
    then = select_as_of(write(make_history(digit_images)), MOMENT, store)
    with pytest.raises(ArtifactNotFoundError, match="as of 2026-03-03"):
        read_rows(then.model_copy(update={"as_of": MOMENT + timedelta(days=2)}), store, ["label"])


def test_the_test_split_is_sealed(write, store, digit_images):
    dataset = write(make_rows(digit_images, 20))
    with pytest.raises(ContractViolationError, match=r"the test split of version 1 .* is sealed"):
        read_split(dataset, store, "test", DATA)
    images, rows = read_sealed_split(dataset, store, ["digest", "source", "brightness"])
    assert rows.column_names == ["digest", "source", "brightness"]
    assert rows["digest"].to_pylist() == images.digests == sorted(images.digests)
    assert len(images.images) == 10


def test_a_partition_is_found_whole_in_digest_order_and_without_labels(write, store, digit_images):
    rows = [
        make_row(pixels, None, index, partition=f"2026-03-0{1 + index % 2}", split=("train", "test")[index % 3 == 0])
        for index, (pixels, _) in enumerate(digit_images[:20])
    ]
    dataset = write(pa.Table.from_pylist(rows, schema=IMAGES))
    version, places, digests = find_partition(dataset, store, "2026-03-02")
    assert digests == sorted(row["digest"] for row in rows[1::2])
    assert version.take(places, columns=["digest"])["digest"].to_pylist() == digests
    assert find_partition(dataset, store, "2026-03-03")[2] == []
    rebuilt = dataset.model_copy(update={"digest": digest_bytes(b"another")})
    with pytest.raises(ArtifactNotFoundError, match="rebuilt"):
        find_partition(rebuilt, store, "2026-03-02")
