"""A channel for Apprise that appends notifications to a file: `notices:///path/of/file.ndjson`."""

# Apprise is typed here and there.
# mypy: disable-error-code="no-untyped-call,assignment,override"

import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from apprise import NotifyType
from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

SCHEME = "notices"
# How far back a notification is looked for that a killed sender may have written already.
LOOK_BACK_BYTES = 1_000_000


class NoticeFile(NotifyBase):
    """Appends one JSON document a line; what stands there already is not written again."""

    service_name = "File"
    protocol = SCHEME
    setup_url = ""
    # A file is written at once, and holds whole messages.
    request_rate_per_sec = 0
    body_maxlen = 1_000_000
    title_maxlen = 10_000
    templates = ("{schema}://{path}",)

    def __init__(self, path: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = Path(path)

    def url(self, privacy: bool = False, *args: Any, **kwargs: Any) -> str:  # noqa: D102
        return locate_file(self.path)

    def send(self, body: str, title: str = "", notify_type: Any = NotifyType.INFO, **kwargs: Any) -> bool:
        """Append the notification, unless the same title and body are among the last ones."""
        told = {"type": getattr(notify_type, "value", notify_type), "title": title, "body": body}
        line = json.dumps({"at": datetime.now(UTC).isoformat(), **told}, ensure_ascii=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOOK_BACK_BYTES))
            written = file.read()
            if not any(_is_same(one, told) for one in written.splitlines()):
                # What a power cut tore must not swallow the next line.
                torn = b"" if not written or written.endswith(b"\n") else b"\n"
                file.write(torn + line)
                file.flush()
                os.fsync(file.fileno())
        return True

    @staticmethod
    def parse_url(url: str) -> dict[str, Any] | None:
        """Read the path out of the URL."""
        found = NotifyBase.parse_url(url, verify_host=False)
        if found:
            found["path"] = unquote(url.partition("://")[2].partition("?")[0])
        return found if found and found["path"] else None


def locate_file(path: Path) -> str:
    """Return the URL of a file."""
    return f"{SCHEME}://{quote(str(path.absolute()))}"


def register() -> None:
    """Let Apprise know the scheme; registering again changes nothing."""
    manager = NotificationManager()
    if SCHEME not in manager:
        manager.add(NoticeFile, schemas=SCHEME)


def _is_same(line: bytes, told: dict[str, Any]) -> bool:
    try:
        return {name: json.loads(line)[name] for name in told} == told
    except (ValueError, KeyError, TypeError):
        return False
