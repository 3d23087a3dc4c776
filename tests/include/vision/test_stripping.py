import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from benchmarks.hostile_files import jpeg_segment, png_chunk, png_header
from include.vision.rejection import RejectedImageError
from include.vision.stripping import PNG_SIGNATURE, read_orientation, strip_jpeg, strip_png

SECRET = b"somebody's secret"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PIXELS = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
JFIF = jpeg_segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")


def save(file_format, image=None, **options):
    buffer = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(buffer, file_format, **options)
    return buffer.getvalue()


def strip(data):
    return (strip_png if data.startswith(PNG_SIGNATURE) else strip_jpeg)(data).image


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def metadata():
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    return {"exif": exif.tobytes(), "icc_profile": ICC}


@settings(max_examples=200, deadline=None)
@given(
    mode=st.sampled_from(["L", "RGB", "CMYK", "YCbCr"]),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    restart=st.integers(0, 9),
    flags=st.tuples(*[st.booleans()] * 4),
)
def test_jpeg_pixels_stay_and_all_else_goes(mode, size, quality, subsampling, restart, flags):
    progressive, optimize, keep_rgb, told = flags
    options = {"quality": quality, "progressive": progressive, "optimize": optimize, "restart_marker_blocks": restart}
    if mode == "RGB" and keep_rgb:
        options["keep_rgb"] = True
    elif mode != "L":
        options["subsampling"] = subsampling
    image = Image.fromarray(PIXELS).convert(mode).resize(size)
    data = save("JPEG", image, **options, **(metadata() | {"comment": SECRET} if told else {})) + SECRET
    stripped = strip(data)
    assert decode(stripped).tobytes() == decode(data).tobytes()
    assert decode(stripped).mode == decode(data).mode
    assert SECRET not in stripped
    assert set(decode(stripped).info) <= {
        "jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform", "progressive", "progression",
    }  # fmt: skip
    assert strip(stripped) == stripped


@settings(max_examples=100, deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    level=st.integers(0, 9),
    told=st.booleans(),
)
def test_png_pixels_stay_and_all_else_goes(mode, size, level, told):
    image = Image.fromarray(PIXELS).resize(size).convert("L" if mode == "I;16" else mode).convert(mode)
    options = {"transparency": 3} if mode in {"P", "L"} else {}
    data = save("PNG", image, compress_level=level, **options, **(metadata() if told else {}))
    data += SECRET
    stripped = strip(data)
    assert decode(stripped).tobytes() == decode(data).tobytes()
    assert decode(stripped).mode == decode(data).mode
    assert set(decode(stripped).info) <= {"transparency"}
    assert SECRET not in stripped
    assert strip(stripped) == stripped


def test_clean_files_stay_as_they_are():
    for clean in (save("JPEG"), save("PNG"), save("JPEG", progressive=True)):
        assert strip(clean) == clean


def test_the_thumbnail_in_the_first_segment_goes():
    thumbnail = b"JFIF\x00\x01\x02\x01\x00\x48\x00\x48\x02\x02" + SECRET
    data = save("JPEG")
    told = data[:2] + jpeg_segment(0xE0, thumbnail) + jpeg_segment(0xE0, b"JFXX\x00\x10" + SECRET) + data[20:]
    assert data[2:20] == JFIF
    assert strip(told) == data


@pytest.mark.parametrize("transform", [0, 1])
def test_adobes_segment_keeps_the_transform_of_colours_and_nothing_else(transform):
    data = save("JPEG")
    adobe = jpeg_segment(0xEE, b"Adobe\x00\x65\x80\x01\x02\x03" + bytes([transform]) + SECRET)
    told = data[:2] + adobe + data[20:]
    stripped = strip(told)
    assert SECRET not in stripped
    assert decode(stripped).tobytes() == decode(told).tobytes()
    assert (decode(stripped).tobytes() == decode(data).tobytes()) == bool(transform)


def test_a_phones_second_picture_goes():
    other = save("JPEG", Image.new("RGB", (50, 37), "red"))
    both = save("MPO", save_all=True, append_images=[decode(other)])
    assert decode(both).n_frames == 2
    assert decode(strip(both)).format == "JPEG"
    assert len(strip(both)) < len(save("JPEG", quality=75)) + 1


def test_fill_bytes_and_what_lies_between_segments_go():
    data = save("JPEG")
    padded = data[:2] + b"\xff" * 7 + data[2:20] + b"<script>" + data[20:-2] + b"\xff\xff\xff\xd9"
    assert decode(strip(padded)).tobytes() == decode(data).tobytes()
    assert b"script" not in strip(padded)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_reads_the_orientation(order, orientation):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010E] = "first"
    exif[0x0112] = orientation
    assert strip_jpeg(save("JPEG", exif=exif)).orientation == orientation
    assert strip_png(save("PNG", exif=exif)).orientation == orientation


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\x00\x00",
        b"II*\x00",
        b"II*\x00\xff\xff\xff\xff",
        b"MM\x00*\x00\x00\x00\x08\xff\xff",
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x09\x00\x00",
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x02\x00\x00\x00\x01\x00\x06\x00\x00",
    ],
)
def test_what_cannot_be_understood_is_upright(exif):
    assert read_orientation(exif) == 1


@given(st.binary(max_size=200))
def test_no_exif_fails(noise):
    assert 1 <= read_orientation(b"MM\x00*" + noise) <= 8


def test_only_an_animation_before_the_pixels_counts():
    animation = png_chunk(b"acTL", struct.pack(">II", 7, 0))
    data = save("PNG")
    assert strip_png(data[:33] + animation + data[33:]).pictures == 7
    assert strip_png(data[:-12] + animation + data[-12:]).pictures == 1
    assert strip(data[:33] + animation + data[33:]) == data


def test_the_palette_of_an_image_without_one_goes():
    data = save("PNG")
    assert strip(data[:33] + png_chunk(b"PLTE", SECRET) + data[33:]) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "not_an_image", id="empty"),
        pytest.param(b"GIF89a", "not_an_image", id="gif"),
        pytest.param(b"\xff\xd8\xff", "not_an_image", id="jpeg-signature"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "not_an_image", id="png-signature"),
        pytest.param(png_header(9, 9)[:-1], "not_an_image", id="png-header-cut"),
        pytest.param(png_header(9, 9)[:-1] + b"x", "truncated", id="png-header-damaged"),
        pytest.param(save("PNG")[:-1], "truncated", id="png-end-cut"),
        pytest.param(save("PNG")[:-12], "truncated", id="png-end-missing"),
        pytest.param(save("JPEG")[:20] + save("JPEG"), "truncated", id="jpeg-in-jpeg"),
        pytest.param(save("JPEG").replace(b"\xff\xc0", b"\xff\xc9"), "format_not_allowed", id="arithmetic"),
    ],
)
def test_refuses(data, reason):
    with pytest.raises(RejectedImageError) as refused:
        strip(data)
    assert refused.value.reason == reason


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"\xff\xd8\xff", png_header(9, 9), save("JPEG")[:200]]), st.binary(max_size=300))
def test_noise_is_stripped_or_refused(start, noise):
    try:
        stripped = strip(start + noise)
    except RejectedImageError:
        return
    assert len(stripped) <= len(start + noise) + len(JFIF)
