"""Time series of what was measured of every window. Light: pages read it.

One small file a window; those of a day that is over are folded into one. A file is removed only after another that
holds its lines was written, so that neither a kill nor a second writer loses any.
"""

import contextlib
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from include.contracts import DriftReport, PerformanceReport, ProfileReport
from include.errors import ArtifactNotFoundError, ServiceUnavailableError
from include.storage import Store, digest_bytes

Report = ProfileReport | DriftReport | PerformanceReport

PROFILE, DRIFT, PERFORMANCE = "profile", "drift", "performance"
# A reader that lost a race against a fold lists again; it would have to lose every time.
ATTEMPTS = 10
# A window by count begins where the last one ended that a profile of the week before knows.
LONGEST_WINDOW = timedelta(days=8)
DRIFT_PAGE = re.compile(r"([a-z][a-z0-9_]*)/reports/drift/(20\d{6}T\d{6})-[0-9a-f]{16}/index\.html")


class _Line(NamedTuple):
    start: str
    end: str
    recorded: str
    content: str


def record_profile(store: Store, report: ProfileReport) -> None:
    """Add a window's profile; measured again, the last one counts."""
    _record(store, PROFILE, report)


def record_drift(store: Store, report: DriftReport) -> None:
    """Add a window's drift; measured again, the last one counts."""
    _record(store, DRIFT, report)


def record_performance(store: Store, report: PerformanceReport) -> None:
    """Add a window's performance; measured again, as when more labels have come, the last one counts."""
    _record(store, PERFORMANCE, report)


def read_series(store: Store, project: str, since: datetime, at_most: int | None = None) -> list[ProfileReport]:
    """Read the profiles of the windows that start at a moment or later, in time order.

    :param at_most: Read no more than these, evenly spread, the newest among them: what a chart can show.
    """
    return [ProfileReport.model_validate_json(content) for content in _read(store, project, PROFILE, since, at_most)]


def read_drift_series(store: Store, project: str, since: datetime, at_most: int | None = None) -> list[DriftReport]:
    """Read the drift of the windows that start at a moment or later, in time order; see `read_series`."""
    return [DriftReport.model_validate_json(content) for content in _read(store, project, DRIFT, since, at_most)]


def read_performance_series(
    store: Store, project: str, since: datetime, at_most: int | None = None
) -> list[PerformanceReport]:
    """Read the performance in the windows that start at a moment or later, in time order; see `read_series`."""
    return [
        PerformanceReport.model_validate_json(content) for content in _read(store, project, PERFORMANCE, since, at_most)
    ]


def name_drift_page(report: DriftReport) -> str:
    """Return the address of the page of a window's drift, made of its content."""
    digest = digest_bytes(report.model_dump_json(exclude={"report"}).encode()).removeprefix("sha256:")[:16]
    return f"{report.project}/reports/drift/{report.end.astimezone(UTC):%Y%m%dT%H%M%S}-{digest}/index.html"


def find_drift_report(store: Store, address: str) -> DriftReport | None:
    """Find what was recorded of the window whose page has an address; None where nothing was, or came out anew."""
    named = DRIFT_PAGE.fullmatch(address)
    if named is None:
        return None
    try:
        end = datetime.strptime(named[2], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    lines = _read(store, named[1], DRIFT, end - LONGEST_WINDOW, None, until=end)
    reports = (DriftReport.model_validate_json(content) for content in reversed(lines))
    return next((report for report in reports if report.report == address), None)


def _record(store: Store, kind: str, report: Report) -> None:
    start, end = (moment.astimezone(UTC) for moment in (report.start, report.end))
    line = _Line(_format(start), _format(end), _format(datetime.now(UTC)), report.model_dump_json())
    folder = _folder(report.project, kind)
    _write(store, f"{folder}/{start:%Y-%m-%d}/{start:%H%M}", [line])
    _fold_closed_days(store, folder)


def _read(
    store: Store, project: str, kind: str, since: datetime, at_most: int | None, until: datetime | None = None
) -> list[str]:
    folder, since = _folder(project, kind), since.astimezone(UTC)
    last = f"{until:%Y-%m-%d}" if until else "9999"
    for _ in range(ATTEMPTS):
        addresses = [one for one in _list(store, folder) if f"{since:%Y-%m-%d}" <= _day_of(one) <= last]
        with contextlib.suppress(ArtifactNotFoundError):
            lines = [line for line in _read_lines(store, addresses) if line.start >= _format(since)]
            return [line.content for line in _thin(lines, at_most)]
    raise ServiceUnavailableError(f"{folder} was being folded at each of {ATTEMPTS} readings; try again")


def _fold_closed_days(store: Store, folder: str) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for day, found in groupby(_list(store, folder), key=_day_of):
        addresses = list(found)
        if day < today and len(addresses) > 1:
            try:
                folded = _write(store, f"{folder}/{day}/day", _read_lines(store, addresses))
            except ArtifactNotFoundError:
                continue  # Another process folds this day.
            store.remove_files([address for address in addresses if address != folded])


def _write(store: Store, stem: str, lines: Iterable[_Line]) -> str:
    """Write lines under a name made of them: two writers of one address write the same."""
    content = "".join("\t".join(line) + "\n" for line in lines).encode()
    address = f"{stem}-{digest_bytes(content).removeprefix('sha256:')[:16]}.tsv"
    store.write(address, content)
    return address


def _read_lines(store: Store, addresses: Iterable[str]) -> list[_Line]:
    """Read the last line that was recorded of each window, in time order."""
    found = {}
    texts = (text for address in addresses for text in store.read(address).decode().split("\n") if text)
    for line in sorted(_Line(*text.split("\t")) for text in texts):
        found[line.start, line.end] = line
    return list(found.values())


def _thin(lines: list[_Line], at_most: int | None) -> list[_Line]:
    step = 1 if at_most is None else max(1, math.ceil(len(lines) / at_most))
    return lines[::-1][::step][::-1]


def _list(store: Store, folder: str) -> list[str]:
    return store.list(folder, "*.tsv")


def _folder(project: str, kind: str) -> str:
    return f"{project}/profiles/series/{kind}"


def _day_of(address: str) -> str:
    return address.split("/")[-2]


def _format(moment: datetime) -> str:
    """Write a moment so that later ones sort later."""
    return moment.isoformat(timespec="microseconds")
