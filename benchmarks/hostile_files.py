"""Files that somebody made to hurt, by class: what each is to become, and how one is made."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

SECRET = b"SECRET-PAYLOAD"
SCRIPT = b"<html><script>alert('" + SECRET + b"')</script></html>"
BOMB = zlib.compress(bytes(30_000_000) + SECRET, 9)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ACCEPTED, ANYTHING = "accepted", "anything"
MAX_BYTES, MAX_PIXELS = 2_000_000, 4_000_000


@dataclass(frozen=True)
class Clean:
    """A file as an honest camera writes it, in the two formats that are stored as they come."""

    jpeg: bytes
    png: bytes
    rng: np.random.Generator

    def either(self) -> bytes:
        """Return one of them."""
        return (self.jpeg, self.png)[self.rng.integers(2)]


def make_clean(seed: int) -> Clean:
    """Draw a picture of 16 to 96 pixels a side and save it with settings that encoders use."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(16, 97, 2)
    pixels = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((24, 24, 1)))[:height, :width]
    image = Image.fromarray((pixels * 0.9 + rng.integers(0, 25, pixels.shape)).astype(np.uint8))
    grey, progressive = rng.random() < 0.2, bool(rng.random() < 0.3)
    options = {"quality": int(rng.integers(40, 96)), "progressive": progressive, "subsampling": int(rng.integers(3))}
    jpeg = _save(image.convert("L") if grey else image, "JPEG", **options)
    return Clean(jpeg, _save(image, "PNG", compress_level=int(rng.integers(10))), rng)


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG, its checksum right."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Return one segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


PROFILE = jpeg_segment(0xE2, b"ICC_PROFILE\x00\x01\x09" + SECRET * 4_000)


def png_header(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """Return the beginning of a PNG."""
    return PNG_SIGNATURE + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def into_png(clean: Clean, *chunks: bytes) -> bytes:
    """Return the clean PNG with chunks behind its header."""
    return clean.png[:33] + b"".join(chunks) + clean.png[33:]


def into_jpeg(clean: Clean, *segments: bytes) -> bytes:
    """Return the clean JPEG with segments before its frame."""
    return clean.jpeg[:20] + b"".join(segments) + clean.jpeg[20:]


def _patch(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _save(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _as(file_format: str) -> Callable[[Clean], bytes]:
    return lambda clean: _save(Image.open(io.BytesIO(clean.png)), file_format)


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("payload.html"), SCRIPT)
    return buffer.getvalue()


def _frame(clean: Clean) -> int:
    return next(clean.jpeg.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in clean.jpeg)


def _cut(clean: Clean) -> bytes:
    data = clean.either()
    first = clean.jpeg.index(b"\xff\xda") if data is clean.jpeg else 34
    return data[: clean.rng.integers(first, len(data) - 1)]


def _cut_header(clean: Clean) -> bytes:
    data = clean.either()
    return data[: clean.rng.integers(1, _frame(clean) + 9 if data is clean.jpeg else 33)]


def _flip_checked(clean: Clean) -> bytes:
    at = int(clean.rng.integers(41, len(clean.png) - 16))
    return _patch(clean.png, at, bytes([clean.png[at] ^ 1 << clean.rng.integers(8)]))


def _flip(clean: Clean) -> bytes:
    data = bytearray(clean.either())
    for at in clean.rng.integers(len(data), size=clean.rng.integers(1, 9)):
        data[at] ^= 1 << clean.rng.integers(8)
    return bytes(data)


def _splice(clean: Clean) -> bytes:
    one, other = clean.either(), clean.either()
    return one[: clean.rng.integers(1, len(one))] + other[clean.rng.integers(len(other)) :]


def _noise(clean: Clean) -> bytes:
    data, at = clean.either(), int(clean.rng.integers(8, 200))
    return _patch(data, at, clean.rng.bytes(int(clean.rng.integers(1, 40))))


def _animated(file_format: str) -> Callable[[Clean], bytes]:
    images = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    return lambda clean: _save(images[0], file_format, save_all=True, append_images=images[1:])


def _bomb(clean: Clean) -> bytes:
    side = int(clean.rng.integers(10_000, 20_000))
    return png_header(side, side) + png_chunk(b"IDAT", BOMB) + png_chunk(b"IEND", b"")


def _short_pixels(clean: Clean) -> bytes:
    return png_header(100, 100) + png_chunk(b"IDAT", zlib.compress(bytes(3_010))) + png_chunk(b"IEND", b"")


def _scan_bomb(clean: Clean) -> bytes:
    data = _save(Image.new("L", (1_900, 1_900)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 1_000 + b"\xff\xd9"


def _gps(clean: Clean) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    thumbnail = jpeg_segment(0xE0, b"JFXX\x00\x10" + clean.jpeg[:20_000] + SECRET)
    return into_jpeg(clean, thumbnail, jpeg_segment(0xE1, exif.tobytes()), jpeg_segment(0xFE, SECRET))


def _broken_exif(clean: Clean) -> bytes:
    broken = b"MM\x00*" + struct.pack(">IH", clean.rng.integers(64), clean.rng.integers(2**16)) + clean.rng.bytes(200)
    if clean.rng.random() < 0.5:
        return into_png(clean, png_chunk(b"eXIf", broken))
    return into_jpeg(clean, jpeg_segment(0xE1, b"Exif\x00\x00" + broken))


def _turned(clean: Clean) -> bytes:
    exif = b"MM\x00*" + struct.pack(">IHHHIHxxI", 8, 1, 0x0112, 3, 1, clean.rng.integers(2, 9), 0)
    return into_jpeg(clean, jpeg_segment(0xE1, b"Exif\x00\x00" + exif), jpeg_segment(0xFE, SECRET))


def _text_bomb(clean: Clean) -> bytes:
    names = {b"iCCP": b"a\x00\x00", b"zTXt": b"a\x00\x00", b"iTXt": b"a\x00\x01\x00\x00\x00"}
    return into_png(clean, *(png_chunk(name, prefix + BOMB) for name, prefix in names.items()))


def _pictures(clean: Clean) -> bytes:
    other = make_clean(int(clean.rng.integers(2**31))).jpeg
    index = jpeg_segment(0xE2, b"MPF\x00" + clean.rng.bytes(80))
    return into_jpeg(clean, index) + into_jpeg(clean, jpeg_segment(0xFE, SECRET)) + other


def _own_chunks(clean: Clean) -> bytes:
    texts = (png_chunk(name, b"Comment\x00" + SECRET) for name in (b"tEXt", b"prVt", b"eXIf", b"sPLT"))
    return into_png(clean, *texts) + _zip()


def _in_between(clean: Clean) -> bytes:
    return clean.jpeg[:2] + b"\xff" * 5 + clean.jpeg[2:20] + SCRIPT + clean.jpeg[20:]


def _behind_pixels(clean: Clean) -> bytes:
    pixels = zlib.compress(b"".join(b"\x00" + clean.rng.bytes(60) for _ in range(20)))
    return png_header(20, 20) + png_chunk(b"IDAT", pixels + SECRET) + png_chunk(b"IEND", SECRET)


def _bmp(width: int, height: int, size: int = 40) -> Callable[[Clean], bytes]:
    header = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1_000, 0, 0, 54, size, width, height, 1, 24, 0, 0, 1, 1, 0, 0)
    return lambda clean: header + clean.rng.bytes(300)


# What becomes of each class: a reason to refuse it, "accepted" without what was hidden in it, or "anything" but harm.
CLASSES: dict[str, tuple[str, Callable[[Clean], bytes]]] = {
    "empty": ("empty", lambda clean: b""),
    "too many bytes": ("too_large_bytes", lambda clean: clean.either() + bytes(MAX_BYTES)),
    "random bytes": ("not_an_image", lambda clean: b"\x00" + clean.rng.bytes(900)),
    "ZIP": ("not_an_image", lambda clean: _zip()),
    "script before image": ("not_an_image", lambda clean: SCRIPT + clean.either()),
    "PDF around image": ("not_an_image", lambda clean: b"%PDF-1.7\n" + clean.either()),
    "cut in header": ("not_an_image", _cut_header),
    "zero height, PNG": ("not_an_image", lambda clean: png_header(9, 0) + clean.png[33:]),
    "zero height, JPEG": ("not_an_image", lambda clean: _patch(clean.jpeg, _frame(clean) + 5, b"\x00\x00")),
    "BMP of no header size": ("not_an_image", _bmp(9, 9, size=7)),
    "GIF by another name": ("format_not_allowed", _as("GIF")),
    "TIFF by another name": ("format_not_allowed", _as("TIFF")),
    "JPEG 2000 by another name": ("format_not_allowed", _as("JPEG2000")),
    "script as GIF": ("format_not_allowed", lambda clean: b"GIF89a/*" + SCRIPT),
    "lossless JPEG": ("format_not_allowed", lambda clean: _patch(clean.jpeg, _frame(clean) + 1, b"\xc3")),
    "arithmetic JPEG": ("format_not_allowed", lambda clean: _patch(clean.jpeg, _frame(clean) + 1, b"\xc9")),
    "12-bit JPEG": ("format_not_allowed", lambda clean: _patch(clean.jpeg, _frame(clean) + 4, b"\x0c")),
    "PNG bomb": ("too_many_pixels", _bomb),
    "JPEG bomb": ("too_many_pixels", lambda clean: _patch(clean.jpeg, _frame(clean) + 5, b"\xff\xdc" * 2)),
    "JPEG of 1,000 scans": ("too_many_pixels", _scan_bomb),
    "BMP bomb": ("too_many_pixels", _bmp(60_000, 60_000)),
    "line of pixels": ("extreme_aspect", lambda clean: _save(Image.new("RGB", (3_000, 2)), "JPEG")),
    "animated PNG": ("animated", _animated("PNG")),
    "animated WEBP": ("animated", _animated("WEBP")),
    "cut": ("truncated", _cut),
    "cut BMP": ("truncated", lambda clean: _as("BMP")(clean)[:-100]),
    "flipped bit under a checksum": ("truncated", _flip_checked),
    "PNG without pixels": ("truncated", lambda clean: png_header(9, 9) + png_chunk(b"IEND", b"")),
    "PNG of too few pixels": ("truncated", _short_pixels),
    "100,000 empty chunks": ("truncated", lambda clean: into_png(clean, png_chunk(b"tEXt", b"") * 100_000)),
    "100,000 empty segments": ("truncated", lambda clean: into_jpeg(clean, jpeg_segment(0xFE, b"") * 100_000)),
    "JPEG inside a JPEG": ("truncated", lambda clean: into_jpeg(clean, clean.jpeg)),
    "ZIP behind image": (ACCEPTED, lambda clean: clean.either() + _zip()),
    "script behind image": (ACCEPTED, lambda clean: clean.either() + SCRIPT),
    "script between segments": (ACCEPTED, _in_between),
    "chunks of one's own": (ACCEPTED, _own_chunks),
    "GPS and thumbnail": (ACCEPTED, _gps),
    "broken Exif": (ACCEPTED, _broken_exif),
    "turned": (ACCEPTED, _turned),
    "text bomb": (ACCEPTED, _text_bomb),
    "colour profile of 500 kB": (ACCEPTED, lambda clean: into_jpeg(clean, *[PROFILE] * 9)),
    "behind the pixels": (ACCEPTED, _behind_pixels),
    "several pictures": (ACCEPTED, _pictures),
    "flipped bits": (ANYTHING, _flip),
    "spliced": (ANYTHING, _splice),
    "noise in header": (ANYTHING, _noise),
}
