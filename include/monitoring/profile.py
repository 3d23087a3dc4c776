"""Cut the window to look at out of the prediction log."""

import io
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts import ProfileReport
from include.predictions import read_predictions
from include.project import Project
from include.storage import Store, digest_bytes


def profile_predictions(project: Project, start: datetime, end: datetime, store: Store) -> ProfileReport:
    """Freeze the predictions of [start, end) under an address made of their content.

    Only those of the release that answered last count: a window that spans a rollout would mix two models.
    """
    table = read_predictions(store, project.name, start, end)
    # Neither is in service: a candidate on trial, nor the shares of classes that answer where no model can.
    table = table.filter(pc.invert(pc.is_in(table["answered_by"], pa.array(["candidate", "baseline", "abstain"]))))
    if table.num_rows == 0:
        return ProfileReport(project=project.name, start=start, end=end, release=None, predictions=0, address=None)
    release = table["release"][-1].as_py()
    window = table.filter(pc.equal(table["release"], release))
    return ProfileReport(
        project=project.name,
        start=start,
        end=end,
        release=release,
        predictions=window.num_rows,
        address=_publish(window, project, store),
    )


def _publish(window: pa.Table, project: Project, store: Store) -> str:
    buffer = io.BytesIO()
    pq.write_table(window.combine_chunks(), buffer)
    data = buffer.getvalue()
    address = f"{project.name}/profiles/{digest_bytes(data).removeprefix('sha256:')}.parquet"
    store.write(address, data)
    return address
