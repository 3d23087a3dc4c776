"""What a decoder process does: read, check, strip, decode and fingerprint some files. Light: every one imports it."""

import os
import resource
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import parent_process
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from include.contracts import QuarantineReason
from include.data.sources.names import UnfitFileError
from include.errors import WindhoverError
from include.project import DataConfig
from include.storage import digest_bytes
from include.vision.decoding import Canonical, RejectedImageError, read_canonical
from include.vision.fingerprints import Fingerprints, fingerprint

# Bytes after which a chunk is sent, whole or not: what is under way must fit into memory, however large the images.
CHUNK_BYTES = 4_000_000
# Processor time, so that a busy machine makes no sound image unfit. A large photograph that must be turned is encoded
# anew, which alone takes seconds: what is larger may take longer.
DECODER_SECONDS = 2.0
SECONDS_PER_BYTE = 1e-6
SMALL_BYTES = 100_000
MEMORY_BYTES = 2 * 2**30
MEMORY_PER_PIXEL = 40

Why = tuple[QuarantineReason, str]


class Reader(Protocol):
    """Reads files by name; pickles small."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return the bytes of a file.

        :raises UnfitFileError: there is no such file, or it is too large.
        """
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not accepted; it has a digest where it could be read.

    :ivar position: Of the file among the names.
    :ivar original: Delivered bytes where the project keeps them.
    """

    position: int
    reason: QuarantineReason
    detail: str
    digest: str | None = None
    original: bytes | None = None


@dataclass(slots=True)
class Decoded:
    """Some files in the order of their names: the sound ones column by column, and the others.

    :ivar positions: Of the sound files among the names.
    :ivar images: Stored bytes, of which `digests` are the names.
    :ivar originals: Delivered bytes where the project keeps them.
    :ivar fingerprints: Of the sound files; there once the chunk is finished.
    """

    positions: list[int] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    originals: list[bytes | None] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    fingerprints: Fingerprints = field(default_factory=lambda: fingerprint([]))

    def __len__(self) -> int:
        return len(self.positions) + len(self.refused)


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a decoder process works with.

    :ivar seconds: Clock time for one chunk, waiting included.
    """

    images: Reader
    data: DataConfig
    seconds: float


_workplace: list[Workplace] = []


def enter(images: Reader, data: DataConfig, seconds: float, environment: Mapping[str, str]) -> None:
    """Begin as a worker: with bounded memory, and no longer than the process it works for.

    :param environment: Of that process, with the credentials of object stores; a fork server has that of its start.
    """
    os.environ.update(environment)
    _workplace[:] = [Workplace(images, data, seconds)]
    # What a crash leaves must not be somebody's picture.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = MEMORY_BYTES + MEMORY_PER_PIXEL * data.max_pixels
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def decode_chunk(start: int, names: Sequence[str], known: Mapping[str, Why]) -> Decoded:
    """Decode files until all are done or fill one message.

    :param start: Position of the first name.
    :param known: Files to read for their digest only, and why they are refused.
    """
    work = _workplace[0]
    decoded = Decoded()
    pixels: list[NDArray[np.uint8]] = []
    size = 0
    signal.setitimer(signal.ITIMER_REAL, work.seconds)
    try:
        for position, name in enumerate(names, start):
            signal.setitimer(signal.ITIMER_PROF, DECODER_SECONDS)
            size += _add_file(work, decoded, pixels, position, name, known.get(name))
            if size >= CHUNK_BYTES:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    decoded.fingerprints = fingerprint(pixels)
    return decoded


def _add_file(
    work: Workplace, decoded: Decoded, pixels: list[NDArray[np.uint8]], position: int, name: str, why: Why | None
) -> int:
    """Read and decode one file; return the bytes it adds."""
    try:
        original = work.images.read(name, work.data.max_bytes)
    except (UnfitFileError, RejectedImageError) as error:
        # What cannot be read was never delivered, listed or not.
        if why is None or why[0] == "missing_from_manifest":
            why = error.reason, str(error)
        decoded.refused.append(Refused(position, *why))
        return 0
    kept = original if work.data.keep_originals else None
    canonical = why or _decode(work, original)
    if not isinstance(canonical, Canonical):
        decoded.refused.append(Refused(position, *canonical, digest_bytes(original), kept))
        return len(kept or b"")
    decoded.positions.append(position)
    decoded.digests.append(digest_bytes(canonical.image))
    decoded.images.append(canonical.image)
    decoded.originals.append(kept)
    decoded.widths.append(canonical.width)
    decoded.heights.append(canonical.height)
    pixels.append(canonical.pixels)
    return len(canonical.image) + len(kept or b"")


def _decode(work: Workplace, original: bytes) -> Canonical | Why:
    if len(original) > SMALL_BYTES:
        signal.setitimer(signal.ITIMER_PROF, DECODER_SECONDS + SECONDS_PER_BYTE * len(original))
    try:
        return read_canonical(original, work.data)
    except RejectedImageError as error:
        return error.reason, str(error)
    except WindhoverError:
        # Not about the file: a detector that the project names and that is not there.
        raise
    except Exception as error:  # noqa: BLE001 - a hostile file can make any line of a decoder fail
        return "decoder_crashed", f"the decoder failed with {type(error).__name__}: {error}"
