import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from include.errors import PermanentError
from include.vision.decoding import RejectedImageError, decode_image, encode_canonical

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


def test_pillows_own_warning_is_an_error_even_where_the_project_allows_more(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.warns(Image.DecompressionBombWarning):
        assert reason(save("PNG")) == "too_many_pixels"


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
