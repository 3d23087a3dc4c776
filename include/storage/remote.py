"""A store in an object store. The server makes each object whole; markers make a folder of objects whole, too."""

import atexit
import io
import os
import posixpath
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from include.errors import ContractViolationError
from include.storage.buckets import ObjectFile, open_bucket, reporting_errors
from include.storage.digests import digest_bytes, digest_folder

STARTED = ".publishing"
FINISHED = ".published"
MARKERS = (STARTED, FINISHED)
BUFFER_BYTES = 1 << 20
# Files at once, and parts of one large file at once: together they bound the memory of a transfer.
TRANSFERS = 4


class RemoteTree:
    """The objects below one prefix; see `Store` for what each method promises.

    A folder is published as an object `.publishing`, its files, and an object `.published` that holds its digest, in
    this order; one with the first marker and without the last does not exist.
    """

    def __init__(self, uri: str) -> None:
        self._bucket = open_bucket(uri)
        self.root = uri.rstrip("/")

    def uri(self, address: str) -> str:
        """Return the URI of an address."""
        return posixpath.join(self.root, self._key(address)).rstrip("/")

    def exists(self, address: str) -> bool:
        """Look for an object, a published folder, or any objects below the address."""
        key = self._key(address)
        with self._reporting(address):
            if self._has(key) or self._has(posixpath.join(key, FINISHED)):
                return True
            return not self._has(posixpath.join(key, STARTED)) and any(True for _ in self._walk(key))

    def open(self, address: str) -> BinaryIO:
        """Open an object behind a buffer."""
        return io.BufferedReader(ObjectFile(self._bucket, self._key(address), self._name(address)), BUFFER_BYTES)

    def read(self, address: str) -> bytes:
        """Read an object."""
        key = self._key(address)
        with self._reporting(address):
            return self._get(key)

    def fetch(self, address: str) -> Path:
        """Download what this process does not hold yet."""
        key, kept = self._key(address), _kept_path(self.uri(address))
        if not kept.exists():
            with self._reporting(address), tempfile.TemporaryDirectory(dir=_open_cache(os.getpid())) as scratch:
                staged = Path(scratch, kept.name)
                self._download(key, staged)
                _keep(staged, kept)
        return kept

    def write(self, address: str, data: bytes) -> None:
        """Write an object."""
        key = self._key(address)
        with self._reporting(address):
            self._put(key, data)

    def publish_folder(self, folder: Path, address: str) -> None:
        """Upload the files between two markers."""
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder; there is nothing to publish at {address!r}")
        if self.exists(address):
            return
        key = self._key(address)
        files = {f"{key}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
        expected = files.keys() | {posixpath.join(key, marker) for marker in MARKERS}
        with self._reporting(address), ThreadPoolExecutor(TRANSFERS) as pool:
            self._put(f"{key}/{STARTED}", b"")
            # Another folder may have been killed on its way to this address.
            self._delete([name for name in self._walk(key) if name not in expected])
            for _ in pool.map(self._put, files, files.values()):
                pass
            self._put(f"{key}/{FINISHED}", digest_folder(folder).encode())

    def remove(self, address: str) -> None:
        """Delete last markers first and first markers last: a folder that is half removed does not exist."""
        key = self._key(address)
        if not key:
            raise ContractViolationError(f"address {address!r} is the whole store {self.root}; name what to remove")
        with self._reporting(address):
            found = [*self._walk(key), *([key] if self._has(key) else [])]
            markers = {kind: [name for name in found if posixpath.basename(name) == kind] for kind in MARKERS}
            self._delete(markers[FINISHED])
            self._delete([name for name in found if posixpath.basename(name) not in MARKERS])
            self._delete(markers[STARTED])
        shutil.rmtree(_kept_path(self.uri(address)).parent, ignore_errors=True)

    def remove_files(self, addresses: Collection[str]) -> None:
        """Delete the objects at once."""
        with reporting_errors(f"{len(addresses)} files in store {self.root}"):
            self._delete([self._key(address) for address in addresses])

    def list(self, address: str, pattern: str) -> list[str]:
        """List the objects below the address, those of unfinished folders excepted."""
        key = self._key(address)
        with self._reporting(address):
            found = [PurePosixPath(name) for name in self._walk(key)]
        unfinished = _find_unfinished(found)
        return sorted(
            path.as_posix()
            for path in found
            if path.relative_to(key).match(pattern)
            and unfinished.isdisjoint(path.parents)
            and not any(part.startswith(".") for part in path.parts)
        )

    def sweep(self, address: str) -> None:
        """Delete the folders that were never finished, their files first."""
        with self._reporting(address):
            found = [PurePosixPath(name) for name in self._walk(self._key(address))]
        for folder in _find_unfinished(found):
            self.remove(folder.as_posix())

    def _key(self, address: str) -> str:
        key = posixpath.normpath(address)
        if key.startswith("/") or key.split("/")[0] == "..":
            raise ContractViolationError(f"address {address!r} leaves the store {self.root}")
        return "" if key == "." else key

    def _name(self, address: str) -> str:
        return f"{address!r} in store {self.root}"

    def _reporting(self, address: str) -> AbstractContextManager[None]:
        return reporting_errors(self._name(address))

    def _has(self, key: str) -> bool:
        import obstore

        try:
            return bool(key and obstore.head(self._bucket, key))
        except FileNotFoundError:
            return False

    def _get(self, key: str) -> bytes:
        import obstore

        return obstore.get(self._bucket, key).bytes().to_bytes()

    def _put(self, key: str, content: bytes | Path) -> None:
        import obstore

        obstore.put(self._bucket, key, content, max_concurrency=TRANSFERS)

    def _delete(self, keys: Collection[str]) -> None:
        import obstore

        if keys:
            obstore.delete(self._bucket, [*keys])

    def _walk(self, key: str) -> Iterator[str]:
        import obstore

        for page in obstore.list(self._bucket, key or None):
            yield from (found["path"] for found in page)

    def _download(self, key: str, target: Path) -> None:
        try:
            digest = self._get(f"{key}/{FINISHED}").decode()
        except FileNotFoundError:
            self._download_file(key, target)
            return
        files = [name for name in self._walk(key) if posixpath.basename(name) not in MARKERS]
        paths = [target / PurePosixPath(name).relative_to(key) for name in files]
        target.mkdir()
        with ThreadPoolExecutor(TRANSFERS) as pool:
            for _ in pool.map(self._download_file, files, paths):
                pass
        if (found := digest_folder(target)) != digest:
            raise ContractViolationError(
                f"{self._name(key)} is damaged: its files have digest {found}, not {digest}; "
                "remove it and run the stage that published it again"
            )

    def _download_file(self, key: str, target: Path) -> None:
        import obstore

        pages = obstore.get(self._bucket, key).stream()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(pages)


def _find_unfinished(found: Sequence[PurePosixPath]) -> set[PurePosixPath]:
    """Find the folders that were begun and not finished."""
    finished = {path.parent for path in found if path.name == FINISHED}
    return {path.parent for path in found if path.name == STARTED} - finished


@cache
def _open_cache(process: int) -> Path:
    """Make the folder of one process's copies, which goes when the process ends; a forked child makes its own."""
    folder = tempfile.mkdtemp(prefix="windhover-fetched-")
    atexit.register(_drop_cache, folder, process)
    return Path(folder)


def _drop_cache(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _kept_path(uri: str) -> Path:
    return _open_cache(os.getpid()) / digest_bytes(uri.encode()).removeprefix("sha256:") / posixpath.basename(uri)


def _keep(staged: Path, kept: Path) -> None:
    kept.parent.mkdir(exist_ok=True)
    try:
        staged.rename(kept)
    except OSError:
        # Another thread fetched the same content meanwhile.
        if not kept.exists():
            raise
