"""Labels that came back, joined with the answers that they are about, whenever either came."""

from collections.abc import Iterable
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import PerformanceReport, ProfileReport
from include.errors import ArtifactNotFoundError
from include.monitoring.series import read_series
from include.predictions import PREDICTIONS, read_feedback
from include.project import Project
from include.storage import Store
from include.storage.parquet import read_table

ASKED = ["request_id", "time", "predicted", "brightness", "width", "height"]
SECONDS_PER_HOUR = 3600


def read_labelled(project: Project, profile: ProfileReport, store: Store) -> pa.Table:
    """Read the labelled answers of a release up to the end of a window, in the order in which labels came.

    Looks as many days back as `performance.label_days`. Of several labels of a request the last one is right; where it
    takes part in an order, it came when that one came.

    :return: Columns `ASKED`, `label` and `came`, each request once.
    :raises ArtifactNotFoundError: the table of this very window is gone.
    """
    since = profile.end - timedelta(days=project.monitoring.performance.label_days)
    feedback = read_feedback(store, project.name, since)
    asked = [] if profile.address is None else [_read_window(store, profile.address)]
    if feedback.num_rows == 0:
        return _join(asked, feedback)
    windows = [one for one in read_series(store, project.name, since) if one.end <= profile.end]
    older = {
        one.address: None
        for one in windows
        if one.address and one.release == profile.release and one.address != profile.address
    }
    return _join([*asked, *_read_present(store, older)], feedback)


def tell_right(labelled: pa.Table) -> NDArray[np.bool_]:
    """Tell of each labelled answer whether it is right [N]."""
    return np.asarray(pc.equal(labelled["predicted"], labelled["label"]).combine_chunks().fill_null(False), dtype=bool)


def tell_hours(labelled: pa.Table) -> NDArray[np.float64]:
    """Tell of each labelled answer when its label came, in hours since 1970 [N]."""
    moments: NDArray[np.int64] = labelled["came"].cast(pa.int64()).to_numpy()
    return moments / (1e6 * SECONDS_PER_HOUR)


def choose_window(labelled: pa.Table, window: ProfileReport | PerformanceReport) -> pa.Table:
    """Keep what was asked within a window."""
    asked = labelled["time"]
    return labelled.filter(pc.and_(pc.greater_equal(asked, window.start), pc.less(asked, window.end)))


def _read_present(store: Store, addresses: Iterable[str]) -> Iterable[pa.Table]:
    for address in addresses:
        try:
            yield _read_window(store, address)
        except ArtifactNotFoundError:
            continue  # Older windows are pruned; theirs is the past.


def _read_window(store: Store, address: str) -> pa.Table:
    table = read_table(store, address, [*ASKED, "answered_by"])
    # Nobody was told what a model would have said of an image that it was not trusted with.
    told = pc.fill_null(pc.not_equal(table["answered_by"], "abstain"), True)
    return table.filter(told).select(ASKED)


def _join(windows: Iterable[pa.Table], feedback: pa.Table) -> pa.Table:
    labels = feedback.select(["request_id", "label", "time"]).rename_columns(["request_id", "label", "came"])
    answers = pa.concat_tables([PREDICTIONS.empty_table().select(ASKED), *windows])
    # A window that was looked at twice is in two profiles.
    first = np.unique(answers["request_id"].to_numpy(zero_copy_only=False), return_index=True)[1]
    found = answers.take(first).join(labels, "request_id", join_type="inner")
    return found.sort_by([("came", "ascending"), ("request_id", "ascending")])
