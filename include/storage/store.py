"""One interface over a local folder and the object stores."""

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from include.errors import ContractViolationError
from include.storage.local import LocalTree
from include.storage.remote import RemoteTree


class Store:
    """Files by address, a relative path below the store URI.

    :param uri: A local folder, as a path or `file://` URI, or a prefix `s3://…`, `gs://…`, `az://…`. Object stores take
        their credentials and endpoint from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`), as Lance does.
    :raises ContractViolationError: the URI is none of these. Every method raises it for an address outside the store,
        and `ServiceUnavailableError` where an object store does not answer.
    """

    def __init__(self, uri: str) -> None:
        is_local = "://" not in uri or uri.startswith("file://")
        self._tree = LocalTree(Path(uri.removeprefix("file://"))) if is_local else RemoteTree(uri)

    @property
    def root(self) -> str:
        """Path or URI of the store, for messages."""
        return self._tree.root

    def path(self, address: str) -> Path:
        """Resolve an address of a local store."""
        if isinstance(self._tree, RemoteTree):
            raise ContractViolationError(f"store {self.root} has no local paths; fetch {address!r}, or open it")
        return self._tree.path(address)

    def uri(self, address: str) -> str:
        """Return what Lance opens: an absolute local path or an object store URI."""
        return self._tree.uri(address)

    def exists(self, address: str) -> bool:
        """Tell whether something is published at an address; half a folder is nothing."""
        return self._tree.exists(address)

    def open(self, address: str) -> BinaryIO:
        """Open one file for reading, seekable, without reading it.

        :raises ArtifactNotFoundError: no file is there.
        """
        return self._tree.open(address)

    def read(self, address: str) -> bytes:
        """Read one file.

        :raises ArtifactNotFoundError: no file is there.
        """
        return self._tree.read(address)

    def fetch(self, address: str) -> Path:
        """Return a published file or folder as local files: those of the store itself, or copies this process keeps.

        :raises ArtifactNotFoundError: nothing is there.
        :raises ContractViolationError: a folder's files are not those that were published.
        """
        return self._tree.fetch(address)

    def write(self, address: str, data: bytes) -> None:
        """Write one file atomically, over an older one if there is one."""
        self._tree.write(address, data)

    def list(self, address: str, pattern: str = "*") -> list[str]:
        """List the files below an address, sorted; unfinished writes do not show."""
        return self._tree.list(address, pattern)

    def publish_folder(self, folder: Path, address: str) -> None:
        """Copy a finished folder to an address in one step; what is there already stays.

        The address names the content: on an object store, two different folders must not race for one address.
        """
        self._tree.publish_folder(folder, address)

    def sweep(self, address: str) -> None:
        """Remove what killed attempts left below an address; one that is still at work has to try again."""
        self._tree.sweep(address)

    def remove(self, address: str) -> None:
        """Remove a file or a tree, with what killed attempts left of it; a missing one is fine."""
        self._tree.remove(address)

    def remove_files(self, addresses: Collection[str]) -> None:
        """Remove many files, which takes far less time than one after the other; missing ones are fine."""
        self._tree.remove_files(addresses)
