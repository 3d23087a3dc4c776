"""A store in a local folder: fsync and rename make every write whole."""

import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from include.errors import ArtifactNotFoundError, ContractViolationError

FOLDER_MODE = 0o755
FILE_MODE = 0o644
# As `tempfile` names what is written beside its place.
UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename: a reader, or a crash, sees the old bytes or the new ones and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a file's bytes, or the renames inside a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LocalTree:
    """The files below one folder; see `Store` for what each method promises."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.absolute()
        self.root = str(self._root)

    def path(self, address: str) -> Path:
        """Resolve an address; one that climbs out of the store is refused."""
        path = (self._root / address).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise ContractViolationError(f"address {address!r} leaves the store {self.root}")
        return path

    def uri(self, address: str) -> str:
        """Return the absolute path of an address."""
        return str(self.path(address))

    def exists(self, address: str) -> bool:
        """Look for a file or a folder."""
        return self.path(address).exists()

    def open(self, address: str) -> BinaryIO:
        """Open a file."""
        with self._reporting_absence(address):
            return self.path(address).open("rb")

    def read(self, address: str) -> bytes:
        """Read a file."""
        with self._reporting_absence(address):
            return self.path(address).read_bytes()

    def fetch(self, address: str) -> Path:
        """Return where a file or folder lies."""
        path = self.path(address)
        with self._reporting_absence(address):
            path.stat()
        return path

    def write(self, address: str, data: bytes) -> None:
        """Write beside and rename."""
        write_atomically(self.path(address), data)

    def list(self, address: str, pattern: str) -> list[str]:
        """Walk the folder."""
        folder, root = self.path(address), self._root.resolve()
        found = (path.relative_to(root) for path in folder.rglob(pattern) if path.is_file())
        return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))

    def publish_folder(self, folder: Path, address: str) -> None:
        """Copy beside and rename."""
        target = self.path(address)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            shutil.copytree(folder, staged, dirs_exist_ok=True)
            for path in [*staged.rglob("*"), staged]:
                path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
                sync_folder(path)
            staged.rename(target)
        except OSError:
            # Two attempts may publish the same content at once; the one that comes second finds it there.
            if not target.exists():
                raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        sync_folder(target.parent)

    def remove(self, address: str) -> None:
        """Rename away, then delete, with whatever killed attempts left beside it."""
        target = self.path(address)
        if target == self._root.resolve():
            raise ContractViolationError(f"address {address!r} is the whole store {self.root}; name what to remove")
        if not target.parent.is_dir():
            return
        if target.is_dir():
            target.rename(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        target.unlink(missing_ok=True)
        for leftover in _find_unfinished(target):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        sync_folder(target.parent)

    def remove_files(self, addresses: Collection[str]) -> None:
        """Delete them, and sync each folder once."""
        paths = [self.path(address) for address in addresses]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            if folder.is_dir():
                sync_folder(folder)

    def sweep(self, address: str) -> None:
        """Delete the hidden copies that killed attempts left."""
        for path in sorted(self.path(address).rglob(".*")):
            if UNFINISHED.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    @contextmanager
    def _reporting_absence(self, address: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ArtifactNotFoundError(
                f"nothing at {address!r} in store {self.root}; was the store moved (WINDHOVER_STORE) or pruned?"
            ) from error


def _find_unfinished(target: Path) -> list[Path]:
    """Find the hidden copies of a file or folder that `tempfile` named, which a kill may have left."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")
    return [path for path in target.parent.iterdir() if name.fullmatch(path.name)]
