import io

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from include.errors import ArtifactNotFoundError
from include.vision.stored_images import StoredImages, decode_stored

RANDOM = np.random.default_rng(3)


def encode(pixels, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def make_pixels(height, width):
    coarse = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width * 2, height * 2), Image.Resampling.BICUBIC))


@pytest.fixture
def pictures():
    return [make_pixels(8 + index % 5, 9) for index in range(600)]


@pytest.fixture
def version(tmp_path, pictures):
    images = pa.array([encode(pixels) for pixels in pictures], pa.large_binary())
    return lance.write_dataset(pa.table({"image": images}), str(tmp_path / "images.lance"))


@pytest.mark.parametrize("kept_bytes", [0, 20_000, 2**30])
def test_images_come_in_the_order_asked_for_however_many_are_kept(version, pictures, kept_bytes):
    places = np.array([5, 599, 0, 17])
    images = StoredImages(version, places, kept_bytes)
    for _ in range(2):
        assert [image.tolist() for image in images] == [pictures[place].tolist() for place in places]
        assert (images[-1] == pictures[17]).all()
        assert [(image == pictures[place]).all() for image, place in zip(images[1:3], (599, 0), strict=True)] == [
            True
        ] * 2
        assert [image.shape for image in images.read([3, 0, 3])] == [pictures[17].shape, pictures[5].shape] * 1 + [
            pictures[17].shape
        ]


def test_more_images_than_one_chunk(version, pictures):
    images = StoredImages(version, np.arange(600), kept_bytes=0)
    assert len(images) == 600
    assert all((image == pixels).all() for image, pixels in zip(images, pictures, strict=True))


def test_a_position_that_is_not_there_is_an_index_error(version):
    with pytest.raises(IndexError):
        StoredImages(version, np.arange(3))[3]


def test_no_images(version):
    images = StoredImages(version, np.arange(0))
    assert (list(images), images.read([]), images[:5]) == ([], [], [])


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}]
)
@pytest.mark.parametrize("size", [(8, 8), (33, 17), (64, 48)])
def test_the_fast_decoder_gives_the_pixels_of_the_one_that_checked(size, options):
    data = encode(make_pixels(*size), "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        assert (decode_stored(data) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_grey_becomes_rgb(form):
    data = encode(make_pixels(20, 20)[:, :, 0].copy(), form)
    with Image.open(io.BytesIO(data)) as image:
        assert (decode_stored(data) == np.asarray(image.convert("RGB"))).all()


def test_damaged_bytes_are_an_error_and_not_an_empty_image():
    with pytest.raises(ArtifactNotFoundError, match="damaged"):
        decode_stored(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
