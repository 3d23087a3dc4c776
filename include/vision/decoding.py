"""Read image files that nobody vouches for, and write them in one canonical form."""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from include.project import DataConfig
from include.vision.fingerprints import SIDE, reduce_image
from include.vision.inflating import inflate_png
from include.vision.rejection import RejectedImageError as RejectedImageError
from include.vision.rejection import RejectionReason as RejectionReason
from include.vision.stripping import JPEG_SIGNATURE, PNG_SIGNATURE, read_orientation, strip_jpeg, strip_png

SIGNATURES = {"JPEG": JPEG_SIGNATURE, "PNG": PNG_SIGNATURE, "WEBP": b"RIFF", "BMP": b"BM"}
KNOWN_FORMATS = (*SIGNATURES, "GIF", "TIFF", "AVIF", "JPEG2000", "ICO")
MAX_ASPECT = 20.0
WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# Pillow's mode, and how libjpeg's bytes become it, by the components of the frame; ink is coded inverted (Adobe).
JPEG_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}
JPEG_SCALES = (8, 4, 2, 1)  # libjpeg's
PNG_MODES = ("L", "LA", "RGB", "RGBA")
PNG_DEPTH = 24
# On photographs, level 6 takes three times as long and saves a twentieth.
COMPRESSION = 1
# Exif 2.32, tag 0x0112: what turns the coded pixels upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Canonical:
    """One accepted image, as it is stored: without metadata, upright, JPEG or PNG."""

    image: bytes
    pixels: NDArray[np.uint8]  # RGB, reduced to what `fingerprint` reads: [64, 64, 3]
    width: int
    height: int


@dataclass(frozen=True)
class _Limits:
    formats: Collection[str]
    max_bytes: int
    max_pixels: int
    max_aspect: float


@dataclass(slots=True)
class _Decoded:
    """Pixels, which may be shrunk, and the size they have been coded in."""

    image: Image.Image
    size: tuple[int, int]
    orientation: int  # Exif's
    stored: bytes | None  # stripped file, where every decoder reads just these pixels from it


def read_canonical(data: bytes, config: DataConfig) -> Canonical:
    """Bring an untrusted image file into the form in which it is stored.

    A plain JPEG or PNG keeps its coded pixels, byte by byte; what is turned, blurred, of another format, of another
    colour space or of another depth becomes a PNG. A plain JPEG is decoded at a fraction of its size: every coefficient
    is read and checked, and most of the transform, which cannot fail, is left out.

    :raises RejectedImageError: the bytes are no single, whole, acceptable image.
    """
    limits = _Limits(config.formats, config.max_bytes, config.max_pixels, config.max_aspect)
    decoded = _decode(data, limits, shrink=not config.blur)
    image, stored = decoded.image, decoded.stored
    if config.blur:
        from include.vision.blurring import blur_regions

        image = blur_regions(decoded.image, config)
        stored = decoded.stored if image is decoded.image else None
    return Canonical(stored or _encode(image), reduce_image(image), *decoded.size)


def decode_image(
    data: bytes, *, formats: Collection[str], max_bytes: int, max_pixels: int, max_aspect: float = MAX_ASPECT
) -> NDArray[np.uint8]:
    """Decode an untrusted image file to RGB, upright, uint8 [H, W, 3].

    These are the pixels that `read_canonical` stores, but nothing is blurred. The header is held against the limits
    before a pixel is decoded; the file's name plays no part.

    :param formats: Pillow names of the formats to allow, such as `PNG`.
    :param max_aspect: Longest side over shortest side.
    :raises RejectedImageError: the bytes are no single, whole, acceptable image.
    """
    return np.asarray(_decode(data, _Limits(formats, max_bytes, max_pixels, max_aspect)).image)


def encode_canonical(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 [H, W, 3] as PNG without metadata; equal pixels give equal bytes on one Pillow build."""
    return _encode(Image.fromarray(image))


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=COMPRESSION)
    return buffer.getvalue()


def _decode(data: bytes, limits: _Limits, shrink: bool = False) -> _Decoded:
    """Decode to RGB, upright; `shrink` permits less than the coded size where the stripped file is kept."""
    if not data:
        raise RejectedImageError("empty", "the file has no bytes")
    if len(data) > limits.max_bytes:
        raise RejectedImageError("too_large_bytes", f"{len(data)} bytes, at most {limits.max_bytes} are allowed")
    kind = _find_format(data, limits.formats)
    if kind == "JPEG":
        decoded = _decode_jpeg(data, limits, shrink)
    else:
        decoded = _decode_png(data, limits) if kind == "PNG" else _decode_other(data, limits)
    turn = UPRIGHT.get(decoded.orientation)
    if turn is None:
        decoded.image = _to_rgb(decoded.image)
    else:
        decoded.image, decoded.stored = _to_rgb(decoded.image.transpose(turn)), None
        decoded.size = decoded.image.size
    return decoded


def _find_format(data: bytes, formats: Collection[str]) -> str:
    for name, signature in SIGNATURES.items():
        if name in formats and data.startswith(signature):
            return name
    Image.init()
    accepts = ((name, Image.OPEN[name][1]) for name in KNOWN_FORMATS if name in Image.OPEN and name not in formats)
    found = next((name for name, accept in accepts if accept and accept(data[:16]) is True), None)
    allowed = ", ".join(formats)
    if found:
        raise RejectedImageError("format_not_allowed", f"looks like {found}, allowed are {allowed}")
    raise RejectedImageError("not_an_image", f"begins like no file of {allowed}")


def _decode_jpeg(data: bytes, limits: _Limits, shrink: bool) -> _Decoded:
    """Decode without Pillow's parser of headers, which takes as long as a small picture."""
    stripped = strip_jpeg(data)
    size = (stripped.width, stripped.height)
    _check_size(size, limits)
    if stripped.components not in JPEG_MODES:
        raise RejectedImageError("not_an_image", f"the JPEG has {stripped.components} components")
    mode, raw_mode = JPEG_MODES[stripped.components]
    shrink = shrink and mode != "CMYK" and stripped.orientation not in UPRIGHT
    scale = next(one for one in JPEG_SCALES if min(size) >= one * SIDE or one == 1) if shrink else 1
    with _damage():
        shrunk = (-(-stripped.width // scale), -(-stripped.height // scale))
        image = Image.frombytes(mode, shrunk, stripped.image, "jpeg", raw_mode, "", scale, 0)
    return _Decoded(image, size, stripped.orientation, None if mode == "CMYK" else stripped.image)


def _decode_png(data: bytes, limits: _Limits) -> _Decoded:
    stripped = strip_png(data)
    _check_size((stripped.width, stripped.height), limits)
    if stripped.pictures > 1:
        raise RejectedImageError("animated", f"the file holds {stripped.pictures} pictures")
    inflated, exact = inflate_png(stripped.image)
    image = _open(inflated, ("PNG",))
    with _damage():
        image.load()
    plain = exact and data[PNG_DEPTH] == 8 and image.mode in PNG_MODES and "transparency" not in image.info
    return _Decoded(image, image.size, stripped.orientation, stripped.image if plain else None)


def _decode_other(data: bytes, limits: _Limits) -> _Decoded:
    image = _open(data, limits.formats)
    _check_size(image.size, limits)
    if getattr(image, "n_frames", 1) > 1:
        raise RejectedImageError("animated", "the file holds several pictures")
    with _damage():
        image.load()
    return _Decoded(image, image.size, read_orientation(image.info.get("exif", b"")), None)


def _open(data: bytes, formats: Collection[str]) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=tuple(formats))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImageError("too_many_pixels", str(error)) from error
    except Exception as error:
        raise RejectedImageError("not_an_image", f"no header of {', '.join(formats)} can be read") from error


@contextmanager
def _damage() -> Iterator[None]:
    """Take any error of a decoder for damage: a hostile file can make any line of one fail, with any exception."""
    try:
        yield
    except Exception as error:
        raise RejectedImageError("truncated", f"the pixels are incomplete or damaged: {error}") from error


def _check_size(size: tuple[int, int], limits: _Limits) -> None:
    width, height = size
    if not width * height:
        raise RejectedImageError("not_an_image", f"{width} x {height} pixels")
    # Pillow only warns where its own limit is passed; here the lower of both limits refuses.
    limit = min(limits.max_pixels, Image.MAX_IMAGE_PIXELS or limits.max_pixels)
    if width * height > limit:
        raise RejectedImageError("too_many_pixels", f"{width} x {height} pixels, at most {limit} are allowed")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise RejectedImageError("extreme_aspect", f"{width} x {height} pixels, longer than {limits.max_aspect:g} : 1")


def _to_rgb(image: Image.Image) -> Image.Image:
    # Pillow would write a colour profile into the PNG, and warn of transparency that plays no part here.
    image.info = {}
    if image.mode in WIDE_GREY:
        # `convert` would clip 16-bit grey at 255 and turn most of the image white.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")
