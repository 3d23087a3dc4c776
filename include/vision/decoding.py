"""Read image files that nobody vouches for, and write them in one canonical form."""

import io
from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from include.errors import PermanentError

RejectionReason = Literal[
    "empty", "too_large_bytes", "not_an_image", "format_not_allowed", "too_many_pixels", "truncated", "animated"
]
KNOWN_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "ICO")
WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


class RejectedImageError(PermanentError):
    """Bytes that are no acceptable image, with the reason."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason: RejectionReason = reason


def decode_image(data: bytes, *, formats: Collection[str], max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode an untrusted image file to RGB, upright, uint8 [H, W, 3].

    The header is held against the limits before a pixel is decoded; the file's name plays no part.

    :param formats: Pillow names of the formats to allow, such as `PNG`.
    :raises RejectedImageError: the bytes are no single, whole, acceptable image.
    """
    if not data:
        raise RejectedImageError("empty", "the file has no bytes")
    if len(data) > max_bytes:
        raise RejectedImageError("too_large_bytes", f"{len(data)} bytes, at most {max_bytes} are allowed")
    with _open(data, formats) as image:
        _check_header(image, max_pixels)
        try:
            # PNG only: `load` ignores the checksums of the pixel chunks, `verify` does not.
            _open(data, formats).verify()
            return _to_rgb(ImageOps.exif_transpose(image))
        except Exception as error:
            # A hostile file can make any line of a decoder fail, with any exception.
            raise RejectedImageError("truncated", f"the pixels are incomplete or damaged: {error}") from error


def encode_canonical(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 [H, W, 3] as PNG without metadata; equal pixels give equal bytes on one Pillow build."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _open(data: bytes, formats: Collection[str]) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=tuple(formats))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImageError("too_many_pixels", str(error)) from error
    except Exception as error:
        found = _sniff(data)
        if found and found not in formats:
            raise RejectedImageError(
                "format_not_allowed", f"looks like {found}, allowed are {', '.join(formats)}"
            ) from error
        raise RejectedImageError("not_an_image", f"no header of {', '.join(formats)} can be read") from error


def _sniff(data: bytes) -> str | None:
    Image.init()
    accepts = ((name, Image.OPEN[name][1]) for name in KNOWN_FORMATS if name in Image.OPEN)
    return next((name for name, accept in accepts if accept and accept(data[:16]) is True), None)


def _check_header(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    # Pillow only warns where its own limit is passed; here the lower of both limits refuses.
    limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    if width * height > limit:
        raise RejectedImageError("too_many_pixels", f"{width} x {height} pixels, at most {limit} are allowed")
    # A phone's JPEG may carry further pictures behind the first (MPO): those are previews, not an animation.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise RejectedImageError("animated", "the file holds several frames")


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in WIDE_GREY:
        # `convert` would clip 16-bit grey at 255 and turn most of the image white.
        grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"), dtype=np.uint8)
