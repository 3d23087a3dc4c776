"""Names made of content."""

import hashlib
from pathlib import Path


def digest_bytes(data: bytes) -> str:
    """Name content by its SHA-256, as `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_folder(folder: Path) -> str:
    """Name a folder by the names and bytes of all files in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    listing = "\n".join(f"{path.relative_to(folder).as_posix()} {_digest_file(path)}" for path in files)
    return digest_bytes(listing.encode())


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
