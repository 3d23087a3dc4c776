"""Inflate the pixels of a PNG to exactly what its header announces: no bomb, no gap and nothing behind them.

W3C PNG (third edition, 2025): interlacing in section 8, scan lines in section 7, compression in section 10.
"""

import struct
import zlib

from include.vision.rejection import RejectedImageError

# First column, first row, and steps of each pass over an interlaced image.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
WHOLE = ((0, 0, 1, 1),)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def inflate_png(data: bytes) -> tuple[bytes, bool]:
    """Return a stripped PNG with its pixels stored instead of compressed, and whether nothing lay behind them.

    Decoders fill what is missing with black and pass over what is too much, and neither is an honest picture.

    :param data: What `strip_png` returns; its header is believed, so hold that against the limits first.
    :raises RejectedImageError: pixels are missing or damaged.
    """
    size = _count_bytes(*struct.unpack_from(">IIBB2xB", data, 16))
    before, compressed = _split(data)
    stream = zlib.decompressobj()
    try:
        pixels = stream.decompress(compressed, size)
        beyond = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise RejectedImageError("truncated", f"the pixels are damaged: {error}") from error
    if len(pixels) < size:
        raise RejectedImageError("truncated", f"{len(pixels)} of {size} bytes of pixels are there")
    exact = stream.eof and not beyond and not stream.unused_data
    return b"".join([before, _make_chunk(b"IDAT", zlib.compress(pixels, 0)), _make_chunk(b"IEND", b"")]), exact


def _count_bytes(width: int, height: int, depth: int, colour: int, interlaced: int) -> int:
    """Return the bytes of all scan lines: a filter byte, then the pixels."""
    total = 0
    for left, top, right, down in ADAM7 if interlaced else WHOLE:
        columns, rows = max(0, -(-(width - left) // right)), max(0, -(-(height - top) // down))
        total += rows * (1 + -(-columns * depth * CHANNELS.get(colour, 1) // 8)) if columns else 0
    return total


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the compressed pixels, and those."""
    position, before, parts = 8, b"", []
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IDAT":
            before = before or data[:position]
            parts.append(data[position + 8 : position + 8 + length])
        position += 12 + length
    return before, b"".join(parts)


def _make_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
