"""Cut the window to look at out of the prediction log, and describe it."""

import io
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts import ProfileReport
from include.monitoring.changes import describe_changes
from include.monitoring.features import describe_features, describe_latencies, share_values
from include.monitoring.series import read_series, record_profile
from include.monitoring.slices import describe_slices
from include.predictions import compact_closed_days, read_predictions
from include.project import Project
from include.storage import Store, digest_bytes

# Further back, no window is the one before.
MEMORY = timedelta(days=7)


def profile_predictions(project: Project, start: datetime, end: datetime, store: Store) -> ProfileReport:
    """Freeze the predictions of [start, end) under an address made of their content, and add them to the series.

    Only those of the release that answered last count: a window that spans a rollout would mix two models. What it
    said of images that were too odd to answer counts too. With `monitoring.window_predictions`, a window begins where
    the last one that held as many has ended, and is frozen once it holds them.

    Days of the log that are over are compacted on the way.
    """
    compact_closed_days(store, project.name)
    earlier = [one for one in read_series(store, project.name, start - MEMORY) if one.end < end]
    start = _find_start(project, start, earlier)
    rows = read_predictions(store, project.name, start, end)
    window = _choose(rows)
    measured = _describe_requests(rows, end - start)
    if window.num_rows >= (project.monitoring.window_predictions or 1):
        measured |= _describe_window(window, rows, project, store)
    release = window["release"][-1].as_py() if window.num_rows else None
    counted = {"release": release, "predictions": window.num_rows, "address": None}
    report = ProfileReport.model_validate({"project": project.name, "start": start, "end": end, **counted, **measured})
    before = next((one for one in reversed(earlier) if one.address and one.end <= start), None)
    report = report.model_copy(update={"changes": describe_changes(before, report)})
    record_profile(store, report)
    return report


def clean_windows(project: Project, store: Store, now: datetime) -> list[str]:
    """Remove the frozen windows that no label can change any more; their profiles stay in the series."""
    # Listed first: what is frozen meanwhile is not among them, what was frozen just before is in the series by then.
    frozen = store.list(f"{project.name}/profiles", "*.parquet")
    since = now - timedelta(days=project.monitoring.performance.label_days)
    needed = {profile.address for profile in read_series(store, project.name, since)}
    removed = [address for address in frozen if address not in needed]
    store.remove_files(removed)
    return removed


def _find_start(project: Project, start: datetime, earlier: list[ProfileReport]) -> datetime:
    """Return where a window begins; one by count goes on where the last one has ended that held enough."""
    if project.monitoring.window_predictions is None or not earlier:
        return start
    last = max(earlier, key=lambda one: one.end)
    return last.end if last.address else last.start


def _choose(rows: pa.Table) -> pa.Table:
    """Keep what the release in service said of images, also where it was not let answer."""
    # Neither is in service: a candidate on trial, nor the shares of classes that answer where no model can.
    other = pc.is_in(rows["answered_by"], pa.array(["candidate", "baseline"]))
    silent = pc.and_(
        pc.is_in(rows["answered_by"], pa.array(["abstain"])),
        pc.or_(pc.is_null(rows["predicted"]), pc.is_in(rows["variant"], pa.array(["candidate"]))),
    )
    window = rows.filter(pc.invert(pc.or_(other, silent)))
    # Where the release in service fails, the one before answers, and is not what the window is about.
    own = window.filter(pc.or_(pc.is_in(window["answered_by"], pa.array(["champion"])), pc.is_null(window["failed"])))
    releases = (own if own.num_rows else window)["release"]
    return window.filter(pc.equal(window["release"], releases[-1])) if window.num_rows else window


def _describe_requests(rows: pa.Table, length: timedelta) -> dict[str, Any]:
    """Describe all that was asked, whoever answered."""
    abstained = pc.sum(pc.is_in(rows["answered_by"], pa.array(["abstain"]))).as_py() or 0
    return {
        "per_minute": (rows.num_rows - abstained) / (length / timedelta(minutes=1)),
        "failed": rows.num_rows - rows["failed"].null_count,
        "abstained": abstained,
    }


def _describe_window(window: pa.Table, rows: pa.Table, project: Project, store: Store) -> dict[str, Any]:
    return {
        "address": _publish(window, project, store),
        "latency_ms": describe_latencies(window),
        "mix": share_values(window["predicted"]),
        "formats": share_values(window["format"]),
        "features": describe_features(window),
        "slices": describe_slices(project, window, rows, store),
    }


def _publish(window: pa.Table, project: Project, store: Store) -> str:
    buffer = io.BytesIO()
    pq.write_table(window.combine_chunks(), buffer)
    data = buffer.getvalue()
    address = f"{project.name}/profiles/{digest_bytes(data).removeprefix('sha256:')}.parquet"
    store.write(address, data)
    return address
