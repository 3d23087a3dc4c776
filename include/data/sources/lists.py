"""Lists of URLs, each with the checksum of what it must give."""

import hashlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from include.contracts import QuarantineReason
from include.data.sources.facts import Shot, name_group
from include.data.sources.tables import parse_csv
from include.data.sources.videos import is_video
from include.data.sources.web import CONNECTIONS, FileGoneError, FileTooLargeError, ForbiddenTargetError, Web
from include.errors import DataQualityError, ServiceUnavailableError
from include.project import SourceConfig

MAX_FILES = 1_000_000
MAX_CLIP_BYTES = 20_000_000_000
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_REASONS: dict[type[Exception], QuarantineReason] = {
    ForbiddenTargetError: "forbidden_target",
    FileTooLargeError: "too_large_bytes",
    FileGoneError: "download_failed",
    ServiceUnavailableError: "download_failed",
}


@dataclass(frozen=True)
class Entry:
    """One line of a list."""

    name: str
    url: str
    sha256: str
    shot: Shot
    label: str | None


def read_list(place: str, data: bytes, source: SourceConfig, observed_at: datetime) -> list[Entry]:
    """Read a list: url, sha256, and maybe label, group, observed_at, subject.

    :param observed_at: When an image was observed whose line does not say.
    :raises DataQualityError: it cannot be read; says the line.
    """
    table = parse_csv(place, data, ("url", "sha256"), ("label", "group", "observed_at", "subject"))
    entries: list[Entry] = []
    for number, (url, sha256, label, group, time, subject) in table.rows:
        if not _SHA256.fullmatch(sha256):
            raise DataQualityError(
                f"{table.locate(number, 'sha256')} {sha256!r} is no SHA-256 of 64 hexadecimal digits"
            )
        shot = Shot(
            table.read_time(time, number, "observed_at") if time else observed_at,
            table.read_text(group, number, "group") if group else name_group(source, url),
            table.read_text(subject, number, "subject") if subject else None,
        )
        name = f"{len(entries):07d}{_find_suffix(url) if source.frame_seconds else ''}"
        known = table.read_text(label, number, "label") if label else None
        entries.append(Entry(name, table.read_text(url, number, "url"), sha256.lower(), shot, known))
        if len(entries) > MAX_FILES:
            raise DataQualityError(f"{place} lists more than {MAX_FILES} files; divide it")
    return entries


def download(
    entries: Iterable[Entry], folder: Path, web: Web, max_bytes: int
) -> dict[str, tuple[QuarantineReason, str]]:
    """Fetch every file of a list, a few at a time; return those that cannot be used, with the reason.

    :param max_bytes: Largest file that is no video.
    """

    def fetch(entry: Entry) -> tuple[str, tuple[QuarantineReason, str] | None]:
        limit = MAX_CLIP_BYTES if is_video(entry.name) else max_bytes
        return entry.name, _fetch(entry, folder / entry.name, web, limit)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return {name: refusal for name, refusal in pool.map(fetch, entries) if refusal}


def _fetch(entry: Entry, path: Path, web: Web, max_bytes: int) -> tuple[QuarantineReason, str] | None:
    try:
        with path.open("w+b") as file:
            web.fetch(entry.url, file, max_bytes)
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except tuple(_REASONS) as error:
        path.unlink()
        return _REASONS[type(error)], str(error)
    if found != entry.sha256:
        path.unlink()
        return "bad_checksum", f"SHA-256 is {found}, the list says {entry.sha256}"
    return None


def _find_suffix(url: str) -> str:
    """Keep what makes a video one; other names mean nothing."""
    path = url.partition("?")[0]
    return PurePosixPath(path).suffix.lower() if is_video(path) else ""
