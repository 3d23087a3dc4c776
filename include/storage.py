"""The store: a tree of immutable files under one URI, written whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from include.errors import ArtifactNotFoundError, ContractViolationError

FOLDER_MODE = 0o755
FILE_MODE = 0o644


def digest_bytes(data: bytes) -> str:
    """Name content by its SHA-256, as `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_folder(folder: Path) -> str:
    """Name a folder by the names and bytes of all files in it."""
    listing = "\n".join(
        f"{path.relative_to(folder).as_posix()} {digest_bytes(path.read_bytes())}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return digest_bytes(listing.encode())


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


class Store:
    """Files by address, a relative path below the store URI.

    :param uri: A local folder, as a path or `file://` URI.
    """

    def __init__(self, uri: str) -> None:
        if "://" in uri and not uri.startswith("file://"):
            raise ContractViolationError(f"store {uri!r} is not a local folder; set WINDHOVER_STORE to a path")
        self.root = Path(uri.removeprefix("file://")).absolute()

    def path(self, address: str) -> Path:
        """Resolve an address; one that climbs out of the store is refused."""
        path = (self.root / address).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ContractViolationError(f"address {address!r} leaves the store {self.root}")
        return path

    def exists(self, address: str) -> bool:
        """Tell whether something is published at an address."""
        return self.path(address).exists()

    def read(self, address: str) -> bytes:
        """Read one file."""
        try:
            return self.path(address).read_bytes()
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(
                f"nothing at {address!r} in store {self.root}; was the store moved (WINDHOVER_STORE) or pruned?"
            ) from error

    def write(self, address: str, data: bytes) -> None:
        """Write one file atomically, over an older one if there is one."""
        write_atomically(self.path(address), data)

    def list(self, address: str, pattern: str = "*") -> list[str]:
        """List the files below an address, sorted; unfinished writes do not show."""
        folder, root = self.path(address), self.root.resolve()
        found = (path.relative_to(root) for path in folder.rglob(pattern) if path.is_file())
        return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))

    def publish_folder(self, folder: Path, address: str) -> None:
        """Copy a finished folder to an address in one step; what is there already stays."""
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
