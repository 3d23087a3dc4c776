"""Prefixes of object stores. Light: a trigger imports this at its top."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader

from include.data.sources.names import UnfitFileError, check_name, check_size, is_hidden
from include.errors import ArtifactNotFoundError
from include.storage.buckets import ObjectFile, open_bucket, reporting_errors

_READ_AHEAD = 1 << 20


@dataclass(frozen=True)
class BucketFolder:
    """A prefix of an object store."""

    uri: str

    def enter(self, name: str) -> "BucketFolder":
        """Return a prefix below it."""
        return BucketFolder(f"{self.uri}/{name}")

    def list_files(self) -> dict[str, float]:
        """List its objects, each with the time of its upload."""
        import obstore

        with reporting_errors(self.uri):
            objects = [entry for page in obstore.list(_open_bucket(self.uri)) for entry in page]
        times = {entry["path"]: entry["last_modified"].timestamp() for entry in objects}
        return {name: times[name] for name in sorted(times) if not is_hidden(name)}

    def find_time(self, name: str) -> float | None:
        """Return when an object was uploaded."""
        import obstore

        try:
            with reporting_errors(f"{self.uri}/{name}"):
                return obstore.head(_open_bucket(self.uri), name)["last_modified"].timestamp()
        except ArtifactNotFoundError:
            return None

    def find_youngest(self) -> float | None:
        """Return when the last object was uploaded."""
        return max(self.list_files().values(), default=None)

    def open(self, name: str) -> BufferedReader:
        """Open an object as a file."""
        with _reading(self.uri, name):
            return BufferedReader(ObjectFile(_open_bucket(self.uri), name, f"{self.uri}/{name}"), _READ_AHEAD)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read an object."""
        import obstore

        with _reading(self.uri, name):
            answer = obstore.get(_open_bucket(self.uri), name)
            check_size(answer.meta["size"], max_bytes)
            return bytes(answer.bytes())


@contextmanager
def _reading(uri: str, name: str) -> Iterator[None]:
    check_name(name)
    try:
        with reporting_errors(f"{uri}/{name}"):
            yield
    except ArtifactNotFoundError as error:
        raise UnfitFileError("missing_file", "listed, but not delivered") from error


# A connection pool is worth keeping.
_open_bucket = lru_cache(maxsize=16)(open_bucket)
