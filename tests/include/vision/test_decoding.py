import copy
import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from benchmarks.hostile_files import jpeg_segment, png_chunk, png_header
from include.errors import PermanentError
from include.project import DataConfig
from include.vision.decoding import RejectedImageError, decode_image, encode_canonical, read_canonical
from include.vision.inflating import ADAM7
from include.vision.stored_images import decode_stored
from include.vision.stripping import strip_jpeg, strip_png

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
LIMITS = {"formats": ("PNG", "JPEG"), "max_bytes": 1_000_000, "max_pixels": 1_000_000}


def save(file_format, image=None, **options):
    buffer = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(buffer, file_format, **options)
    return buffer.getvalue()


def reason(data, **limits):
    with pytest.raises(RejectedImageError) as rejected:
        decode_image(data, **LIMITS | limits)
    assert str(rejected.value)
    return rejected.value.reason


def test_canonical_bytes_carry_the_pixels_and_nothing_else():
    canonical = encode_canonical(PIXELS)
    assert (decode_image(canonical, **LIMITS) == PIXELS).all()
    assert encode_canonical(decode_image(canonical, **LIMITS)) == canonical
    with Image.open(io.BytesIO(canonical)) as image:
        assert image.info == {}


def test_metadata_does_not_change_the_canonical_form():
    exif = Image.Exif()
    exif[0x010E] = "a person's name"
    told = decode_image(save("PNG", exif=exif), **LIMITS)
    assert encode_canonical(told) == encode_canonical(PIXELS)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"no image at all", "not_an_image", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "not_an_image", id="signature-only"),
        pytest.param(save("PNG")[:-200], "truncated", id="cut-png"),
        pytest.param(save("JPEG")[:-200], "truncated", id="cut-jpeg"),
        pytest.param(save("GIF"), "format_not_allowed", id="gif"),
        pytest.param(save("WEBP"), "format_not_allowed", id="webp"),
        pytest.param(save("TIFF"), "format_not_allowed", id="tiff"),
        pytest.param(save("PNG", save_all=True, append_images=[Image.new("RGB", (30, 20))]), "animated", id="apng"),
    ],
)
def test_rejects(data, expected):
    assert reason(data) == expected


def test_rejects_what_is_over_the_limits():
    data = save("PNG")
    assert reason(data, max_bytes=len(data) - 1) == "too_large_bytes"
    assert reason(data, max_pixels=599) == "too_many_pixels"
    assert decode_image(data, **LIMITS | {"max_bytes": len(data), "max_pixels": 600}).shape == (20, 30, 3)


def test_refuses_a_bomb_by_its_header():
    bomb = save("PNG", Image.new("1", (40_000, 5_000)))
    assert len(bomb) < 100_000
    assert reason(bomb) == "too_many_pixels"


def test_pillows_own_limit_counts_even_where_the_project_allows_more(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert reason(save("PNG")) == "too_many_pixels"
    assert reason(save("JPEG")) == "too_many_pixels"
    with pytest.warns(Image.DecompressionBombWarning):
        assert reason(save("BMP"), formats=("BMP",)) == "too_many_pixels"


@pytest.mark.parametrize("size", [(400, 19), (19, 400)])
def test_refuses_what_is_too_long(size):
    for file_format in ("PNG", "JPEG", "BMP"):
        data = save(file_format, Image.new("RGB", size))
        assert reason(data, formats=(file_format,)) == "extreme_aspect"
        assert decode_image(data, **LIMITS | {"formats": (file_format,), "max_aspect": 22}).shape == (*size[::-1], 3)


def test_a_flipped_bit_in_the_pixels_does_not_pass():
    data = bytearray(save("PNG"))
    data[data.index(b"IDAT") + 300] ^= 1
    assert reason(bytes(data)) == "truncated"


def test_turns_a_photograph_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode_image(save("PNG", exif=exif), **LIMITS)
    assert (turned == np.rot90(PIXELS, k=-1)).all()


def test_keeps_the_range_of_16_bit_grey():
    wide = Image.fromarray(np.linspace(0, 65_535, 600).astype(np.uint16).reshape(20, 30))
    grey = decode_image(save("PNG", wide), **LIMITS)
    assert grey.shape == (20, 30, 3)
    assert abs(float(grey.mean()) - 127.5) < 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA"])
def test_every_mode_becomes_rgb(mode):
    assert decode_image(save("PNG", Image.fromarray(PIXELS).convert(mode)), **LIMITS).shape == (20, 30, 3)


def test_is_a_permanent_error():
    with pytest.raises(PermanentError, match="no bytes"):
        decode_image(b"", **LIMITS)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([save("PNG"), save("JPEG")]), st.data())
def test_damage_is_rejected_or_decoded_but_never_crashes(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(damaged)))
    try:
        image = decode_image(bytes(damaged[:cut]), **LIMITS)
    except RejectedImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3


ANY = DataConfig(formats=("PNG", "JPEG", "WEBP", "BMP"))
SECRET = b"somebody's secret"


def serve(data):
    limits = {"formats": ANY.formats, "max_bytes": ANY.max_bytes, "max_pixels": ANY.max_pixels}
    return decode_image(data, **limits, max_aspect=ANY.max_aspect)


def write_png(pixels, depth, colour, interlaced, *chunks):
    height, width, _ = pixels.shape
    values = pixels.astype(">u2" if depth == 16 else np.uint8)
    passes = [values[top::down, left::right] for left, top, right, down in ADAM7] if interlaced else [values]
    lines = b"".join(b"\x00" + line.tobytes() for part in passes if part.size for line in part)
    body = (*chunks, png_chunk(b"IDAT", zlib.compress(lines)), png_chunk(b"IEND", b""))
    return png_header(width, height, depth, colour, int(interlaced)) + b"".join(body)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(["L", "RGB", "CMYK", "YCbCr"]),
    size=st.tuples(st.integers(4, 70), st.integers(4, 70)),
    quality=st.integers(5, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    orientation=st.integers(0, 9),
)
def test_serving_sees_what_training_sees_of_a_jpeg(mode, size, quality, subsampling, progressive, orientation):
    options = {"quality": quality, "progressive": progressive, "exif": turned(orientation)}
    options |= {} if mode == "L" else {"subsampling": subsampling}
    data = save("JPEG", Image.fromarray(PIXELS).convert(mode).resize(size), **options)
    canonical = read_canonical(data, ANY)
    pixels = serve(data)
    assert (decode_stored(canonical.image) == pixels).all()
    assert pixels.shape == (canonical.height, canonical.width, 3)
    with Image.open(io.BytesIO(data)) as image:
        assert (np.asarray(ImageOps.exif_transpose(image).convert("RGB")) == pixels).all()
    kept = mode != "CMYK" and orientation not in range(2, 9)
    assert (canonical.image == strip_jpeg(data).image) == kept
    assert canonical.image.startswith(b"\xff\xd8" if kept else b"\x89PNG")


@settings(max_examples=150, deadline=None)
@given(
    depth=st.sampled_from([8, 16]),
    colour=st.sampled_from([(0, 1), (2, 3), (4, 2), (6, 4)]),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    interlaced=st.booleans(),
    key=st.booleans(),
    seed=st.integers(0, 9),
)
def test_serving_sees_what_training_sees_of_a_png(depth, colour, size, interlaced, key, seed):
    colour_type, channels = colour
    pixels = np.random.default_rng(seed).integers(0, 2**depth, (*size, channels))
    chunks = [png_chunk(b"gAMA", b"\x00\x00\x55\xf0"), png_chunk(b"tEXt", b"Comment\x00" + SECRET)]
    if key and colour_type in {0, 2}:
        chunks.append(png_chunk(b"tRNS", pixels[0, 0].astype(">u2").tobytes()))
    data = write_png(pixels, depth, colour_type, interlaced, *chunks)
    expected = (pixels[..., :3] if channels > 2 else pixels[..., :1].repeat(3, axis=2)) >> (depth - 8)
    canonical = read_canonical(data, ANY)
    assert (serve(data) == expected).all()
    assert (decode_stored(canonical.image) == expected).all()
    assert (canonical.image == strip_png(data).image) == (depth == 8 and len(chunks) == 2)
    assert SECRET not in canonical.image


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "BMP"])
def test_serving_sees_what_training_sees_of_every_mode(mode, file_format):
    mode = "L" if (mode, file_format) == ("LA", "BMP") else mode
    options = {"transparency": 3} if (mode, file_format) == ("P", "PNG") else {}
    data = save(file_format, Image.fromarray(PIXELS).convert(mode), **options)
    canonical = read_canonical(data, ANY)
    assert (decode_stored(canonical.image) == serve(data)).all()
    assert read_canonical(canonical.image, ANY).image == canonical.image


def test_a_written_png_carries_no_profile_of_its_source():
    exif = turned(6)
    exif[0x010E] = SECRET.decode()
    data = save("WEBP", exif=exif, icc_profile=SECRET, lossless=True)
    canonical = read_canonical(data, ANY)
    assert SECRET not in canonical.image
    with Image.open(io.BytesIO(canonical.image)) as image:
        assert image.info == {}
    assert (serve(data) == np.rot90(PIXELS, k=-1)).all()


def test_grey_stays_a_grey_jpeg():
    data = save("JPEG", Image.fromarray(PIXELS).convert("L"))
    assert read_canonical(data, ANY).image == data
    assert serve(data).shape == (20, 30, 3)


@pytest.mark.parametrize("colour", [0, 2])
def test_a_png_whose_pixels_end_early_does_not_pass(colour):
    lines = zlib.compress(bytes(5 * (1 + 9 * (1 + colour))))
    data = png_header(9, 9, colour=colour) + png_chunk(b"IDAT", lines) + png_chunk(b"IEND", b"")
    assert reason(data) == "truncated"


def test_what_lies_behind_the_pixels_of_a_png_goes():
    compressed = zlib.compress(bytes(9 * 28))
    hidden = png_header(9, 9) + png_chunk(b"IDAT", compressed + SECRET) + png_chunk(b"IEND", b"")
    too_many = png_header(9, 9) + png_chunk(b"IDAT", zlib.compress(bytes(9 * 28) + SECRET)) + png_chunk(b"IEND", b"")
    for data in (hidden, too_many):
        assert read_canonical(data, ANY).image == encode_canonical(np.zeros((9, 9, 3), np.uint8))


def test_more_passes_over_the_pixels_than_any_encoder_makes_are_refused():
    data = save("JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert reason(data[:-2] + scan * 40 + b"\xff\xd9") == "too_many_pixels"
    assert decode_image(data[:-2] + scan * 3 + b"\xff\xd9", **LIMITS).shape == (20, 30, 3)


def test_a_header_of_two_colours_is_no_image():
    data = save("JPEG").replace(jpeg_segment(0xC0, b"\x08\x00\x14\x00\x1e\x03")[4:], b"\x08\x00\x14\x00\x1e\x02")
    assert reason(data) == "not_an_image"


def test_a_rejection_survives_the_way_between_processes():
    error = copy.copy(RejectedImageError("truncated", "half is missing"))
    assert (error.reason, str(error)) == ("truncated", "half is missing")


def test_opencv_stays_away_until_something_is_blurred():
    code = "import sys; from include.vision import decoding; assert 'cv2' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_fingerprinted_is_small_however_large_the_image():
    canonical = read_canonical(save("JPEG", Image.new("RGB", (900, 700), (200, 10, 30))), ANY)
    assert canonical.pixels.shape == (64, 64, 3)
    assert (canonical.width, canonical.height) == (900, 700)
    assert np.abs(canonical.pixels.astype(int) - (200, 10, 30)).max() <= 2
