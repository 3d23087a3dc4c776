"""Archives, unpacked as if their author meant harm."""

import errno
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO, cast

from include.data.sources.names import is_hidden, is_safe
from include.errors import DataQualityError

MAX_MEMBERS = 1_000_000
MAX_BYTES = 200_000_000_000
# Images are compressed already: what grows by more is a bomb, unless it is small even then.
MAX_RATIO = 100
HARMLESS_BYTES = 100_000_000
CHUNK_BYTES = 1 << 20
LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
# macOS adds it to every archive.
RESOURCE_FORKS = "__MACOSX/"

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError)
_OCCUPIED = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


@dataclass(frozen=True)
class _Member:
    name: str
    modified: float
    file: IO[bytes]


def unpack(name: str, file: BinaryIO, folder: Path) -> dict[str, float]:
    """Unpack a zip or tar file and return when each of its files was modified, as POSIX time by name.

    Members are read one after another and written under their own names; nothing else of them is taken over.

    :param name: The archive's, for its kind and for messages.
    :raises DataQualityError: it is broken, too large, or holds a link, a device or a name that leads out of it; says
        which member.
    """
    limit = min(MAX_BYTES, max(HARMLESS_BYTES, MAX_RATIO * file.seek(0, io.SEEK_END)))
    file.seek(0)
    members = _read_zip(file) if name.endswith(".zip") else _read_tar(file, limit)
    modified: dict[str, float] = {}
    current = "the beginning"
    try:
        for member in members:
            current = repr(member.name)
            limit -= _write(member, folder, limit)
            modified[member.name] = min(max(member.modified, 0.0), LATEST)
            if len(modified) > MAX_MEMBERS:
                raise DataQualityError(f"more than {MAX_MEMBERS} files")
    except DataQualityError as error:
        raise DataQualityError(f"archive {name}, at {current}: {error}; nothing of it was taken") from error
    except (*_BROKEN, OSError) as error:
        # Decompressors raise OSErrors without a number; one with a number is the machine's.
        if isinstance(error, OSError) and error.errno not in {None, *_OCCUPIED}:
            raise
        raise DataQualityError(f"archive {name}, at {current}: {error}; deliver it again") from error
    return modified


def _write(member: _Member, folder: Path, limit: int) -> int:
    path = folder / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as copy:
        while chunk := member.file.read(CHUNK_BYTES):
            if copy.tell() + len(chunk) > limit:
                raise DataQualityError("the archive unpacks to too many bytes and may be a bomb")
            copy.write(chunk)
        return copy.tell()


def _read_zip(file: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            name = _check(info.filename, kind in {0, stat.S_IFREG, stat.S_IFDIR})
            if name and not info.is_dir():
                with archive.open(info) as member:
                    yield _Member(name, _find_time(info), member)


class _TarStream:
    """A tar file that can only be read forward, in small pieces: its headers may claim any length."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        self._limit = 2 * limit
        self.last = b""

    def read(self, size: int) -> bytes:
        if size > CHUNK_BYTES:
            raise DataQualityError(f"a header claims {size} bytes")
        self.last = self._file.read(size)
        return self.last

    def seek(self, position: int) -> int:
        if position > self._limit:
            raise DataQualityError("the archive unpacks to too many bytes and may be a bomb")
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


def _read_tar(file: BinaryIO, limit: int) -> Iterator[_Member]:
    stream = _TarStream(file, limit)
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as archive:
        while info := archive.next():
            # tarfile would keep them all.
            archive.members.clear()  # type: ignore[attr-defined]
            name = _check(info.name, info.isdir() or (info.isreg() and not info.issparse()))
            if name and info.isreg():
                with cast("IO[bytes]", archive.extractfile(info)) as member:
                    yield _Member(name, float(info.mtime), member)
    # To tarfile, a damaged header or a cut is the end of the archive, too.
    if stream.last != tarfile.NUL * tarfile.BLOCKSIZE:
        raise DataQualityError("the archive is damaged or cut off here")


def _check(name: str, plain: bool) -> str:
    """Return a member's name, empty where it is not wanted."""
    clean = name.removeprefix("./").rstrip("/")
    if not clean or clean == ".":
        return ""
    if not is_safe(clean):
        raise DataQualityError(f"member {name!r} leads out of the archive or holds control characters")
    if not plain:
        raise DataQualityError(f"member {name!r} is a link, a device or another special file")
    return "" if is_hidden(clean) or clean.startswith(RESOURCE_FORKS) else clean


def _find_time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
