"""Record every answer in a local segment before it is sent, and publish segments to the prediction log."""

import fcntl
import logging
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from include.predictions import append_rows
from include.storage import Store

PUBLISH_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Recorder:
    """Write-ahead log of one serving process.

    A row lies in the kernel's hands when `append` returns, so that kill -9 loses none. Each segment becomes files of
    the prediction log under the segment's own name: publishing it again after a crash writes the same files again.

    :param folder: Local folder of segments; processes may share it.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = store
        self._lock = threading.Lock()
        self._segment: int | None = None
        self._size = 0
        self._trouble = ""
        self._stopping = threading.Event()
        self._publisher = threading.Thread(target=self._publish_often, name="recorder", daemon=True)

    def start(self) -> None:
        """Publish what dead processes left behind, and from then on whatever is appended."""
        self._publisher.start()

    def append(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of the prediction log, all or none.

        :param kind: `predictions`, `feedback` or `comparisons`.
        :raises OSError: the rows could not be written; nothing of them remains.
        """
        lines = b"".join(to_json({"kind": kind, **row}) + b"\n" for row in rows)
        with self._lock:
            if self._segment is None:
                self._segment, self._size = _open_segment(self._folder), 0
            written = os.write(self._segment, lines)
            if written < len(lines):
                os.ftruncate(self._segment, self._size)
                raise OSError(f"only {written} of {len(lines)} bytes fit into {self._folder}; is the disk full?")
            self._size += written

    def count_segments(self) -> int:
        """Count the segments that are not in the prediction log yet."""
        return len(list(self._folder.glob("*.jsonl")))

    def stop(self) -> None:
        """Publish everything once more and end; what the store does not take stays for the next process."""
        self._stopping.set()
        self._publisher.join()
        self._publish_all()

    def _publish_often(self) -> None:
        while True:
            self._publish_all()
            if self._stopping.wait(PUBLISH_SECONDS):
                return

    def _publish_all(self) -> None:
        with self._lock:
            if self._segment is not None:
                os.close(self._segment)
                self._segment = None
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                self._publish(path)
                self._trouble = ""
            except Exception as error:
                # One segment that cannot be published must not hold up the others, nor end the thread.
                if self._trouble != str(error):
                    logger.exception("segment %s stays where it is and will be tried again", path)
                self._trouble = str(error)

    def _publish(self, path: Path) -> None:
        try:
            with path.open("rb") as segment:
                # The writer of a segment holds its lock for as long as it lives; a process that died let go of it.
                fcntl.flock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB)
                rows, torn = _read_rows(segment.read())
                for (kind, _, _), day in rows.items():
                    append_rows(self._store, kind, path.stem, day)
                if torn:
                    logger.error("%d lines of %s cannot be read; it is kept as .torn", torn, path)
                    path.replace(path.with_suffix(".torn"))
                path.unlink(missing_ok=True)
        except (FileNotFoundError, BlockingIOError):
            return


def _open_segment(folder: Path) -> int:
    # Readers of the log who look for what is newer than some moment pass over older files unread.
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex}"
    created = folder / f".{name}.new"
    segment = os.open(created, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    # Locked before it is seen: another process would take an unlocked segment for a dead one's.
    fcntl.flock(segment, fcntl.LOCK_EX)
    created.rename(folder / f"{name}.jsonl")
    return segment


def _read_rows(content: bytes) -> tuple[dict[tuple[str, str, str], list[dict[str, Any]]], int]:
    """Return the rows by (kind, project, day), and how many lines a power cut has torn."""
    rows: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    torn = 0
    for line in content.splitlines():
        try:
            row = from_json(line)
            row["time"] = datetime.fromisoformat(row["time"])
            rows[row.pop("kind"), row["project"], f"{row['time']:%Y-%m-%d}"].append(row)
        except (ValueError, TypeError, KeyError):
            torn += 1
    return rows, torn
