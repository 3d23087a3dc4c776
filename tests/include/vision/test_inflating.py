import io
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks.hostile_files import png_chunk, png_header
from include.vision.inflating import inflate_png
from include.vision.rejection import RejectedImageError

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)
LINES = b"".join(b"\x00" + line.tobytes() for line in PIXELS)


def write(*compressed, colour=2, depth=8, interlace=0):
    header = png_header(7, 11, depth, colour, interlace)
    return header + b"".join(png_chunk(b"IDAT", part) for part in compressed) + png_chunk(b"IEND", b"")


def test_the_pixels_stay():
    compressed = zlib.compress(LINES)
    for data in (write(compressed), write(compressed[:9], b"", compressed[9:])):
        inflated, exact = inflate_png(data)
        assert exact
        assert (np.asarray(Image.open(io.BytesIO(inflated))) == PIXELS).all()
        assert len(inflated) > len(LINES)


@pytest.mark.parametrize(
    "compressed",
    [zlib.compress(LINES + b"x"), zlib.compress(LINES) + b"x", zlib.compress(LINES)[:-4]],
    ids=["a byte too many", "a byte behind", "no end"],
)
def test_tells_of_what_is_not_just_the_pixels(compressed):
    inflated, exact = inflate_png(write(compressed))
    assert not exact
    assert (np.asarray(Image.open(io.BytesIO(inflated))) == PIXELS).all()


@pytest.mark.parametrize(
    "compressed",
    [b"", zlib.compress(LINES[:-1]), zlib.compress(LINES)[:-20], zlib.compress(LINES)[:-1] + b"x", b"no zlib"],
)
def test_refuses_what_is_missing_or_damaged(compressed):
    with pytest.raises(RejectedImageError) as refused:
        inflate_png(write(compressed))
    assert refused.value.reason == "truncated"


@pytest.mark.parametrize(("depth", "colour", "size"), [(1, 0, 22), (4, 3, 55), (16, 6, 627), (2, 0, 33), (8, 4, 165)])
def test_counts_what_the_header_announces(depth, colour, size):
    assert inflate_png(write(zlib.compress(bytes(size)), depth=depth, colour=colour))[1]
    with pytest.raises(RejectedImageError, match=f"{size - 1} of {size} bytes"):
        inflate_png(write(zlib.compress(bytes(size - 1)), depth=depth, colour=colour))


def test_a_bomb_is_inflated_to_what_the_header_announces():
    bomb = zlib.compress(bytes(50_000_000))
    inflated, exact = inflate_png(write(bomb))
    assert not exact
    assert len(inflated) < 1_000
