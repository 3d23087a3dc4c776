"""Object stores through obstore: how one is opened, what its errors mean, and an object as a file."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from include.errors import ArtifactNotFoundError, ContractViolationError, ServiceUnavailableError, WindhoverError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore.store import ObjectStore

BUCKET_URI = re.compile(r"(s3|gs|az)://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^/?#]+)*/?")
# Errors of a listing have no class of their own.
NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")
DENIED = re.compile("status code: 40[13]")
RETRIES = 4
RETRY_TIME = timedelta(seconds=30)


def open_bucket(uri: str) -> "ObjectStore":
    """Open an object store below a prefix, `s3://…`, `gs://…` or `az://…`, with the environment's credentials.

    :raises ContractViolationError: the URI names no bucket, or the environment does not say how to reach it.
    """
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    if not BUCKET_URI.fullmatch(uri) or ".." in uri.split("/"):
        raise ContractViolationError(
            f"{uri!r} is neither a local folder nor a prefix in a bucket; "
            "write a path, or s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    if (os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT", "")).startswith("http://"):
        # In the environment, because Lance opens the same URIs and looks nowhere else.
        os.environ.setdefault("AWS_ALLOW_HTTP", "true")
    try:
        return from_url(uri, retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_TIME})
    except (BaseError, ValueError) as error:
        raise ContractViolationError(f"{uri} cannot be opened: {_first_line(error)}") from error


@contextmanager
def reporting_errors(what: str) -> Iterator[None]:
    """Raise what an object store reports as an error of ours.

    :param what: The address and the store, for the message.
    :raises ArtifactNotFoundError: no such object, or no such bucket.
    :raises ContractViolationError: the credentials do not allow it.
    :raises ServiceUnavailableError: anything else; the server does not answer, or not with success.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise _translate(error, what) from error


class ObjectFile(io.RawIOBase):
    """An object as a seekable file that reads ranges of it."""

    def __init__(self, bucket: "ObjectStore", key: str, what: str) -> None:
        import obstore

        self._bucket, self._key, self._what = bucket, key, what
        self._position = 0
        with reporting_errors(what):
            self._size = obstore.head(bucket, key)["size"]

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position, as files do."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"position {start + offset} lies before the start of {self._what}")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read one range, as long as the buffer or what is left."""
        view = memoryview(buffer).cast("B")
        data = self._read_range(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read what is left in one range."""
        return self._read_range(self._size)

    def _read_range(self, length: int) -> bytes:
        import obstore

        length = min(length, self._size - self._position)
        if length <= 0:
            return b""
        with reporting_errors(self._what):
            data = obstore.get_range(self._bucket, self._key, start=self._position, length=length).to_bytes()
        self._position += len(data)
        return data


def _translate(error: Exception, what: str) -> WindhoverError:
    if isinstance(error, FileNotFoundError) or NO_BUCKET.search(str(error)):
        return ArtifactNotFoundError(
            f"nothing at {what}; was the store moved (WINDHOVER_STORE) or pruned, and does the bucket exist?"
        )
    if DENIED.search(str(error)):
        return ContractViolationError(
            f"access to {what} is denied: {_first_line(error)}; check the credentials in the environment"
        )
    return ServiceUnavailableError(
        f"no answer about {what}: {_first_line(error)}; "
        "check that the object store is up and that the endpoint and credentials in the environment are right"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
