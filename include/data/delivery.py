"""Read one delivery of the drop folder: which files it has, what it says of them, their bytes.

Whoever may write into the drop folder may write anything there, so names are text until proven harmless and no
symbolic link is followed.
"""

import csv
import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from include.data.arrivals import IMAGES, list_images
from include.errors import DataQualityError
from include.vision.decoding import RejectedImageError

MANIFEST = "manifest.csv"
LABELS = "labels.csv"
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

UnfitReason = Literal["unsafe_path", "missing_file", "missing_from_manifest", "unknown_class"]


class UnfitFileError(DataQualityError):
    """One file of a delivery that cannot be accepted, with the reason."""

    def __init__(self, reason: UnfitReason, message: str) -> None:
        super().__init__(message)
        self.reason: UnfitReason = reason


@dataclass(frozen=True)
class Shot:
    """What the manifest says of one image."""

    captured_at: datetime
    group: str


@dataclass(frozen=True)
class Label:
    """What is known of one image, and since when."""

    label: str
    known_at: datetime


@dataclass(frozen=True)
class Delivery:
    """The files of one day and what its manifest and labels say of them, by file name."""

    folder: Path
    names: tuple[str, ...]
    shots: dict[str, Shot]
    labels: dict[str, Label]

    def read_image(self, name: str, max_bytes: int) -> bytes:
        """Read one file of the delivery, following no link.

        :raises UnfitFileError: there is no such regular file inside the delivery.
        :raises RejectedImageError: it is larger than `max_bytes`.
        """
        if not _is_safe(name):
            raise UnfitFileError("unsafe_path", "the name leaves the delivery or holds control characters")
        try:
            with ExitStack() as stack:
                return _read_regular(_open_inside(stack, self.folder / IMAGES, name), max_bytes)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
                raise UnfitFileError("unsafe_path", "a link or special file stands in its place") from error
            if error.errno in {errno.ENOENT, errno.ENAMETOOLONG}:
                raise UnfitFileError("missing_file", "listed, but not delivered") from error
            raise


def read_delivery(folder: Path) -> Delivery:
    """Read the listing, manifest and labels of one delivery.

    :raises DataQualityError: the manifest or the labels cannot be read; says the file and line.
    """
    shots = {name: Shot(when, group) for name, when, group in _read_rows(folder / MANIFEST, "captured_at", "group")}
    labels: dict[str, Label] = {}
    if os.path.lexists(folder / LABELS):
        rows = _read_rows(folder / LABELS, "known_at", "label")
        labels = {name: Label(label, when) for name, when, label in rows}
    delivered = sorted({*list_images(folder), *shots})
    # Labels come later and may grow: a name only they know goes last, so that no other file changes its shard.
    labelled_only = sorted(labels.keys() - set(delivered))
    return Delivery(folder, (*delivered, *labelled_only), shots, labels)


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not UNPRINTABLE.search(name)


def _open_inside(stack: ExitStack, folder: Path, name: str) -> int:
    """Open step by step from `folder`: a link anywhere on the way is an error, even one planted in between."""
    *parents, last = PurePosixPath(name).parts
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(folder, flags | os.O_DIRECTORY)
    stack.callback(os.close, descriptor)
    for part in parents:
        descriptor = os.open(part, flags | os.O_DIRECTORY, dir_fd=descriptor)
        stack.callback(os.close, descriptor)
    descriptor = os.open(last, flags, dir_fd=descriptor)
    stack.callback(os.close, descriptor)
    return descriptor


def _read_regular(descriptor: int, max_bytes: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnfitFileError("unsafe_path", "not a regular file")
    if status.st_size > max_bytes:
        raise RejectedImageError("too_large_bytes", f"{status.st_size} bytes, at most {max_bytes} are allowed")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(max_bytes + 1)


def _read_rows(path: Path, time_column: str, text_column: str) -> Iterator[tuple[str, datetime, str]]:
    """Yield (file, time, text) of each line of a CSV file with a header."""
    reader = csv.DictReader(_read_lines(path), strict=True)
    lines: dict[str, int] = {}
    try:
        missing = {"file", time_column, text_column} - set(reader.fieldnames or ())
        if missing:
            raise DataQualityError(f"{path}, line 1: the header lacks {', '.join(sorted(missing))}")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            name = _read_name(row["file"], where)
            if name in lines:
                raise DataQualityError(f"{where}: {name!r} is listed already in line {lines[name]}; list a file once")
            lines[name] = reader.line_num
            time = _read_time(row[time_column], f"{where}: {time_column}")
            yield name, time, _read_text(row[text_column], f"{where}: {text_column}")
    except csv.Error as error:
        raise DataQualityError(f"{path}, line {reader.reader.line_num}: not readable as CSV: {error}") from error


def _read_lines(path: Path) -> list[str]:
    if path.is_symlink():
        raise DataQualityError(f"{path} is a symbolic link; deliver a real file")
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataQualityError(f"no file {path}; a delivery lists its images there, then writes its marker") from error
    try:
        return data.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataQualityError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from error


def _read_name(value: str | None, where: str) -> str:
    if not value:
        raise DataQualityError(f"{where}: no file name")
    return PurePosixPath(value).as_posix() if _is_safe(value) else value


def _read_text(value: str | None, where: str) -> str:
    if not value or UNPRINTABLE.search(value):
        raise DataQualityError(f"{where} {value!r} is empty or holds control characters")
    return value


def _read_time(value: str | None, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(value or "")
    except ValueError as error:
        raise DataQualityError(f"{where} {value!r} is no ISO 8601 time, such as 2026-11-02T08:30:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
