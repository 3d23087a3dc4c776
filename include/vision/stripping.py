"""Drop everything from a JPEG or PNG file that is not needed to decode its pixels; the coded pixels stay as they are.

JPEG after ITU-T T.81 (1992), JFIF after ITU-T T.871 (2011), Adobe's APP14 after T.872 (2012), PNG after W3C PNG (third
edition, 2025), orientation after Exif 2.32 (CIPA DC-008-2019). What somebody hides inside the coded pixels themselves
stays hidden there.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from include.vision.rejection import RejectedImageError

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# What ends the coded pixels of a JPEG: a marker that is no stuffed byte, no restart and no fill byte.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SOI, _EOI, _SOS, _APP0, _APP1, _APP14, _TEM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0x01
# Baseline, extended and progressive frames, Huffman and quantisation tables, restart interval, scan, end.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_KEPT_SEGMENTS = _FRAMES | {0xC4, 0xDB, 0xDD, _SOS, _EOI}
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({_SOI, _EOI, _TEM})  # markers without a segment
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
# A scan of a few bytes still costs a pass over the whole picture; encoders write ten.
_MAX_SCANS = 32
_FRAME_BYTES = 10
# Parts of a file that hold next to nothing would cost more time than all its pixels.
_MIN_PART_BYTES, _FREE_PARTS = 512, 1024

_HEADER_BYTES, _IEND = 33, b"\x00\x00\x00\x00IEND\xaeB`\x82"
_COLOUR_TYPE, _PALETTE = 25, 3

_EXIF = b"Exif\x00\x00"
_ORIENTATION, _SHORT = 0x0112, 3
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}


@dataclass(frozen=True)
class Stripped:
    """What is left of a file, and what it says of its pixels before any of them."""

    image: bytes
    width: int
    height: int
    orientation: int  # of Exif, 1-8
    components: int = 0  # of a JPEG
    pictures: int = 1  # of an animated PNG


def read_orientation(exif: bytes) -> int:
    """Return the orientation (1-8) that Exif data asks for; 1 where it says nothing that can be understood.

    :param exif: TIFF structure, with or without the identifier `Exif` before it.
    """
    exif = exif.removeprefix(_EXIF)
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
    except struct.error:
        return 1
    entries = exif[start + 2 : start + 2 + 12 * count]
    for tag, kind, values, value in struct.iter_unpack(order + "HHIHxx", entries[: len(entries) // 12 * 12]):
        if tag == _ORIENTATION:
            return int(value) if (kind, values) == (_SHORT, 1) and 1 <= value <= 8 else 1
    return 1


def strip_jpeg(data: bytes) -> Stripped:
    """Strip a JPEG and tell what of its metadata decides on its pixels.

    Its pixels decode to those of the original. One that ends too early is stripped as far as it goes: its decoder
    refuses it.

    :raises RejectedImageError: the file is no JPEG, or coded in a way that not every decoder reads.
    """
    kept, exif, frame, scans = [data[:2]], b"", b"", 0
    for marker, start, end in _walk_segments(data):
        segment = data[start:end]
        kept.append(segment if marker in _KEPT_SEGMENTS else _reduce_segment(marker, segment))
        if marker == _SOS:
            scans += 1
        elif marker in _FRAMES:
            frame = frame or segment
        elif marker == _APP1 and not exif and not scans and data.startswith(_EXIF, start + 4):
            exif = segment[4:]
    if scans > _MAX_SCANS:
        raise RejectedImageError("too_many_pixels", f"codes its pixels {scans} times over; {_MAX_SCANS} are allowed")
    width, height, components = _read_frame(frame)
    return Stripped(b"".join(kept), width, height, read_orientation(exif), components)


def _walk_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the end of the first picture; a scan's has its pixels."""
    position, room = 2, _count_parts(data)
    while found := _MARKER.search(data, position):
        start = found.start()
        marker = data[start + 1]
        if marker in _BARE:
            position = start + 2
        else:
            position = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
        if marker == _SOS:
            after = _MARKER.search(data, position)
            position = after.start() if after else len(data)
        yield marker, start, position
        room -= 1
        if marker == _EOI or room < 0:
            break
    if room < 0:
        raise RejectedImageError("truncated", "falls into more segments than any encoder writes")


def _reduce_segment(marker: int, segment: bytes) -> bytes:
    """Keep of JFIF's and Adobe's segments what decides on the transform of colours, and nothing of others."""
    if marker == _APP0 and segment.startswith(b"JFIF\x00", 4) and len(segment) >= len(_JFIF):
        return _JFIF
    if marker == _APP14 and segment.startswith(b"Adobe", 4) and len(segment) > len(_ADOBE):
        return _ADOBE + segment[len(_ADOBE) : len(_ADOBE) + 1]
    if marker in _OTHER_FRAMES:
        raise RejectedImageError("format_not_allowed", "the JPEG is neither baseline nor progressive; convert it")
    if marker == _SOI:
        raise RejectedImageError("truncated", "a second picture begins inside the first")
    return b""


def _read_frame(segment: bytes) -> tuple[int, int, int]:
    """Return width, height and number of components."""
    if len(segment) < _FRAME_BYTES:
        raise RejectedImageError("not_an_image", "the JPEG has no whole frame header")
    precision, height, width, components = struct.unpack_from(">BHHB", segment, 4)
    if precision != 8:
        raise RejectedImageError("format_not_allowed", f"the JPEG has {precision} bits per value; convert it to 8")
    return width, height, components


def strip_png(data: bytes) -> Stripped:
    """Strip a PNG and tell what of its metadata decides on its pixels, which decode to those of the original.

    :raises RejectedImageError: the file is no PNG, or damaged.
    """
    if data[8:16] != b"\x00\x00\x00\x0dIHDR" or len(data) < _HEADER_BYTES:
        raise RejectedImageError("not_an_image", "the PNG has no header")
    wanted = {b"IHDR"} | ({b"PLTE", b"tRNS"} if data[_COLOUR_TYPE] == _PALETTE else {b"tRNS"})
    kept, exif, pictures = [PNG_SIGNATURE], b"", 1
    for name, start, end in _walk_chunks(data):
        if name == b"IDAT" or name in wanted:
            _check_sum(data, name, start, end)
            kept.append(data[start:end])
            wanted = wanted - {name} if name != b"IDAT" else set()
        elif name == b"acTL" and wanted:
            pictures = int.from_bytes(data[start + 8 : start + 12], "big")
        elif name == b"eXIf":
            exif = data[start + 8 : end - 4]
    width, height = struct.unpack_from(">II", data, 16)
    return Stripped(b"".join([*kept, _IEND]), width, height, read_orientation(exif), pictures=pictures)


def _walk_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk before the last; that last one must be there."""
    position = len(PNG_SIGNATURE)
    for _ in range(_count_parts(data)):
        start = position
        length, name = struct.unpack_from(">I4s", data, start) if start + 8 <= len(data) else (0, b"")
        position = start + 12 + length
        if position > len(data) or not name:
            raise RejectedImageError("truncated", f"ends after {len(data)} bytes, within its chunks")
        if name == b"IEND":
            return
        yield name, start, position
    raise RejectedImageError("truncated", "falls into more chunks than any encoder writes")


def _check_sum(data: bytes, name: bytes, start: int, end: int) -> None:
    if zlib.crc32(memoryview(data)[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
        raise RejectedImageError("truncated", f"the chunk {name.decode()} is damaged: its checksum differs")


def _count_parts(data: bytes) -> int:
    return _FREE_PARTS + len(data) // _MIN_PART_BYTES
