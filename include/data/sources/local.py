"""Folders of this machine, read without following a link. Light: a trigger imports this at its top."""

import errno
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from include.data.sources.names import UnfitFileError, check_name, check_size
from include.errors import DataQualityError


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine.

    :param root: The folder to start from; whoever names it answers for it.
    :param inside: Path below `root`; no link is followed on it.
    """

    root: str
    inside: str = ""

    @property
    def uri(self) -> str:
        """Its path."""
        return f"{self.root.rstrip('/')}/{self.inside}".rstrip("/") or "/"

    def enter(self, name: str) -> "LocalFolder":
        """Return a folder inside it."""
        return LocalFolder(self.root, f"{self.inside}/{name}".lstrip("/"))

    def list_files(self) -> dict[str, float]:
        """List its files and links, each with the time of its modification."""
        return {name: status.st_mtime for name, status in self._list()}

    def find_time(self, name: str) -> float | None:
        """Return when a file came here."""
        try:
            status = os.lstat(f"{self.uri}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _find_time(status) if stat.S_ISREG(status.st_mode) else None

    def find_youngest(self) -> float | None:
        """Return when the last file came here."""
        return max((_find_time(status) for _, status in self._list()), default=None)

    def open(self, name: str) -> BufferedReader:
        """Open a file without following a link."""
        return os.fdopen(self._open_inside(name), "rb")

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a file without following a link."""
        with self.open(name) as file:
            size = os.fstat(file.fileno()).st_size
            check_size(size, max_bytes)
            # Asked for more, Python would reserve that much.
            return file.read(size)

    def _list(self) -> list[tuple[str, os.stat_result]]:
        if Path(self.uri).is_symlink():
            raise DataQualityError(f"{self.uri} is a symbolic link; deliver a real folder")
        return sorted(_walk(self.uri, ""), key=lambda entry: entry[0])

    def _open_inside(self, name: str) -> int:
        """Open step by step: a link anywhere on the way is an error, even one planted in between."""
        check_name(name)
        *parents, last = f"{self.inside}/{name}".lstrip("/").split("/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            with ExitStack() as stack:
                folder = os.open(self.root, flags | os.O_DIRECTORY)
                stack.callback(os.close, folder)
                for part in parents:
                    folder = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
                    stack.callback(os.close, folder)
                return _require_regular(os.open(last, flags, dir_fd=folder))
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
                raise UnfitFileError("unsafe_path", "a link or special file stands in its place") from error
            if error.errno in {errno.ENOENT, errno.ENAMETOOLONG}:
                raise UnfitFileError("missing_file", "listed, but not delivered") from error
            if error.errno in {errno.EACCES, errno.EPERM}:
                raise UnfitFileError("missing_file", "delivered, but it may not be read") from error
            raise


def _find_time(status: os.stat_result) -> float:
    # A copy may keep the old modification time; the change time is when it came here.
    return max(status.st_mtime, status.st_ctime)


def _walk(path: str, prefix: str) -> list[tuple[str, os.stat_result]]:
    found: list[tuple[str, os.stat_result]] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found += _walk(entry.path, f"{prefix}{entry.name}/")
                else:
                    found.append((prefix + entry.name, entry.stat(follow_symlinks=False)))
    except FileNotFoundError:
        # Never delivered, or taken away meanwhile: what is gone is not there.
        pass
    return found


def _require_regular(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnfitFileError("unsafe_path", "not a regular file")
    return descriptor
