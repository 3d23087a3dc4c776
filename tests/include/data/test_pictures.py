import base64

import cv2
import numpy as np
import pytest

from include.data.pictures import SIDE, read_pictures
from include.errors import ArtifactNotFoundError
from tests.include.data.stored_versions import make_row, write_version


def decode(picture):
    kind, _, data = picture.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)


def test_a_small_image_keeps_its_pixels_and_a_large_one_is_made_small(store, digit_images):
    small = digit_images[0][0]
    large = np.full((1200, 400, 3), 200, np.uint8)
    rows = [make_row(small), make_row(large)]
    pictures = read_pictures(write_version(store, rows), [row["digest"] for row in rows], store)
    one, other = (pictures[row["digest"]] for row in rows)
    assert (one.small, other.small) == (True, False)
    assert np.abs(decode(one).astype(int) - small).mean() < 6
    assert decode(other).shape == (SIDE, SIDE // 3, 3)
    assert abs(decode(other).mean() - 200) < 2


def test_an_image_far_longer_than_wide_keeps_a_pixel(store):
    row = make_row(np.full((2000, 3, 3), 90, np.uint8))
    pictures = read_pictures(write_version(store, [row]), [row["digest"]], store)
    assert decode(pictures[row["digest"]]).shape == (SIDE, 1, 3)


def test_images_the_version_does_not_hold_or_that_are_damaged_are_left_out(store, digit_images):
    good, bad = make_row(digit_images[0][0]), make_row(digit_images[1][0], image=b"no image at all")
    dataset = write_version(store, [good, bad])
    asked = [good["digest"], bad["digest"], "sha256:" + "0" * 64]
    assert list(read_pictures(dataset, asked, store)) == [good["digest"]]


def test_no_wish_reads_nothing_and_a_version_that_is_gone_is_an_error(store, digit_images):
    row = make_row(digit_images[0][0])
    dataset = write_version(store, [row])
    gone = dataset.model_copy(update={"version": 99})
    assert read_pictures(gone, [], store) == {}
    with pytest.raises(ArtifactNotFoundError):
        read_pictures(gone, [row["digest"]], store)
