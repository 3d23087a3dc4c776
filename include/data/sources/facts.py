"""What a delivery says of its files."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from include.contracts import QuarantineReason
from include.data.arrivals import SNAPSHOT
from include.project import SourceConfig


@dataclass(frozen=True, slots=True)
class Shot:
    """When one image was taken, and of what."""

    observed_at: datetime
    group: str
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one image, and since when."""

    label: str
    known_at: datetime


@dataclass(frozen=True)
class Facts:
    """What a layout says of the files of a delivery, by name."""

    names: tuple[str, ...]
    shots: dict[str, Shot] = field(default_factory=dict)
    labels: dict[str, tuple[Label, ...]] = field(default_factory=dict)
    refused: dict[str, tuple[QuarantineReason, str]] = field(default_factory=dict)


def name_group(source: SourceConfig, name: str) -> str:
    """Name the group of an image by the project's pattern, or the image itself where the pattern finds nothing."""
    found = re.search(source.group_pattern, name) if source.group_pattern else None
    return (found and found.group(1)) or name


def date_observation(partition: str, modified: float | None) -> datetime:
    """Say when a file counts as observed: by the end of its day, or, in a snapshot, when it was last modified, or now.

    Of a day nothing else is known; earlier, a dataset read as of noon would hold what came in the evening.

    :param modified: POSIX time; None where nobody knows.
    """
    if partition != SNAPSHOT:
        return datetime.combine(date.fromisoformat(partition), time.max, UTC)
    return datetime.now(UTC) if modified is None else datetime.fromtimestamp(modified, UTC)


def date_frame(clip: Shot, milliseconds: int) -> datetime:
    """Say when a frame of a clip was observed; where only the clip's day is known, with the clip."""
    if clip.observed_at.time() == time.max:
        return clip.observed_at
    return clip.observed_at + timedelta(milliseconds=milliseconds)
