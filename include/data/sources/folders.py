"""A source's files by name, wherever they are. Light: a trigger imports this at its top."""

from io import BufferedReader
from typing import Protocol

from include.data.sources.buckets import BucketFolder
from include.data.sources.local import LocalFolder


class Folder(Protocol):
    """Files by name, a relative path with `/` between its parts. Picklable; equal folders read equally."""

    @property
    def uri(self) -> str:
        """Where it is, without a slash at the end."""
        ...

    def enter(self, name: str) -> "Folder":
        """Return the folder of this name inside this one, whether it is there or not."""
        ...

    def list_files(self) -> dict[str, float]:
        """List every file at any depth in name order, with the POSIX time of its modification.

        Names with a part that begins with a dot are left out: unfinished copies, editors' and systems' own files. A
        link is listed and not followed.
        """
        ...

    def find_time(self, name: str) -> float | None:
        """Return the POSIX time at which a file came; None where there is no such file."""
        ...

    def find_youngest(self) -> float | None:
        """Return the POSIX time at which the last file came; None without files."""
        ...

    def open(self, name: str) -> BufferedReader:
        """Open a regular file for reading, seekable.

        :raises UnfitFileError: there is no such regular file inside the folder, or its name is unsafe.
        """
        ...

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read one file.

        :raises UnfitFileError: there is no such regular file inside, its name is unsafe, or it is too large.
        """
        ...


def open_folder(uri: str) -> Folder:
    """Open a folder by path, `file://` URI, or the URI of an object store's prefix."""
    if "://" in uri and not uri.startswith("file://"):
        return BucketFolder(uri.rstrip("/"))
    return LocalFolder(uri.removeprefix("file://").rstrip("/") or "/")
