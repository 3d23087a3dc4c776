from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from include.errors import ArtifactNotFoundError
from include.training.giveaways import describe, name_source


@pytest.fixture
def make_row():
    def make(pixels, suffix=".png", quality=(), **changes):
        return {
            "image": cv2.imencode(suffix, pixels[..., ::-1], list(quality))[1].tobytes(),
            "source": "2026-03-01/images/shot-0001.png",
            "observed_at": datetime(2026, 3, 1, 8, tzinfo=UTC),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
        } | changes

    return make


@pytest.fixture
def noise():
    return np.random.default_rng(3).integers(0, 256, (48, 40, 3), dtype=np.uint8)


def test_a_frame_changes_the_border_and_a_mark_its_corner(make_row, noise):
    framed, marked = noise.copy(), noise.copy()
    framed[:2] = 255
    marked[-7:, :7] = 0
    plain, frame, mark = (describe(make_row(one), ("a",)) for one in (noise, framed, marked))
    assert frame["border"]["top_red"] == 255 > plain["border"]["top_red"]
    assert frame["border"]["bottom_red"] == plain["border"]["bottom_red"]
    assert mark["corners"]["bottom_left_blue"] == 0 < plain["corners"]["bottom_left_blue"]
    assert mark["corners"]["top_right_4"] == plain["corners"]["top_right_4"]


def test_colour_is_blind_to_light(make_row):
    grey, red = np.full((9, 9, 3), 77, np.uint8), np.zeros((9, 9, 3), np.uint8)
    red[..., 0] = 50
    assert set(describe(make_row(grey), ("a",))["colour"].values()) == {0.0}
    assert describe(make_row(red), ("a",))["colour"]["red"] == 50


def test_jpeg_tables_tell_the_quality_and_png_has_none(make_row, noise):
    def tables(quality):
        return describe(make_row(noise, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, quality)), ("a",))["jpeg_tables"]

    assert tables(95)["sum"] < tables(60)["sum"]
    assert tables(95) == tables(95)
    assert tables(95)["bytes"] == 130
    assert "jpeg_tables" not in describe(make_row(noise), ("a",))


def test_blocks_of_jpeg_are_seen_in_a_png(make_row, noise):
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    coarse = cv2.imdecode(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], cv2.IMREAD_COLOR)
    before, after = (describe(make_row(one), ("a",))["noise"]["blocks"] for one in (smooth, coarse))
    assert after > 2 * before > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2), (2000, 5)])
def test_any_shape_is_described_by_finite_numbers(make_row, shape):
    found = describe(make_row(np.full((*shape, 3), 9, np.uint8)), ("a",))
    assert all(np.isfinite(value) for cue in found.values() for value in cue.values())


def test_a_large_jpeg_is_described_like_its_pixels(make_row):
    pixels = np.zeros((1100, 1300, 3), np.uint8)
    pixels[:200, :200] = 255
    found = describe(make_row(pixels, ".jpg"), ("a",))["corners"]
    assert found["top_left_red"] > 250 > 5 > found["bottom_right_red"]


def test_a_damaged_image_is_an_error(make_row, noise):
    with pytest.raises(ArtifactNotFoundError, match="12 bytes is damaged"):
        describe(make_row(noise, image=b"\x89PNG no image"[:12]), ("a",))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("2026-03-01/images/shot-0041.png", "#-#-#/images/shot-#.png"),
        ("Train/Golden Retriever/cam_b_7.JPG", "train//cam_b_#.jpg"),
        ("dog.12.jpg", ".#.jpg"),
        ("hotdog.12.jpg", "hotdog.#.jpg"),
        ("dog_3.jpg", "_#.jpg"),
    ],
)
def test_a_source_is_a_name_without_numbers_and_classes(source, name):
    assert name_source(source, ("dog", "golden retriever", "a+b(")) == name
