"""The page of a drifted window, by Evidently: what was tested, and how each feature lies against the reference."""

import os
from collections.abc import Sequence
from contextvars import ContextVar

import numpy as np
import pandas as pd

from include.contracts import DriftReport, FeatureDriftReport
from include.monitoring.layers import CLASSES, Weighed
from include.monitoring.series import name_drift_page
from include.storage import Store

os.environ.setdefault("DO_NOT_TRACK", "1")  # read when evidently is imported

from evidently import DataDefinition, Dataset, Report
from evidently.core.report import Snapshot
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

PAGE, RESULT = "index.html", "result.json"
# A page weighs some 4 MB; the results, a few kB each, stay.
PAGES = 30
TITLES = {
    "rank_bets": "bets on ranks, p-value",
    "share_bets": "bets on shares, p-value",
    "kernel_bets": "bets on a kernel, p-value",
}
_FINDINGS: ContextVar[dict[str, FeatureDriftReport]] = ContextVar("findings")


def publish_page(report: DriftReport, weighed: Sequence[Weighed], store: Store) -> None:
    """Publish the page and the result of a window, where its report says that the page is.

    Only the newest pages stay; every result does. Without its page, a window is shown by the web server as it was
    recorded.
    """
    address = name_drift_page(report)
    folder = address.rpartition("/")[0]
    # Evidently numbers its charts at random: the address is made of the inputs, and the first page stays.
    if store.exists(address):
        return
    snapshot = render(report, weighed)
    store.write(f"{folder}/{RESULT}", snapshot.json().encode())
    store.write(address, snapshot.get_html_str(as_iframe=False).encode())
    for old in sorted(store.list(folder.rpartition("/")[0], f"*/{PAGE}"))[:-PAGES]:
        if old != address:
            store.remove(old)


def render(report: DriftReport, weighed: Sequence[Weighed]) -> Snapshot:
    """Let Evidently draw the features with our methods, numbers and verdicts; it makes none of its own."""
    findings = {one.feature: one for one in report.features}
    reference, window = (
        pd.DataFrame({one.feature: pd.Series(getattr(one, side)) for one in weighed})
        for side in ("reference", "window")
    )
    categorical = [name for name in findings if name in CLASSES]
    definition = DataDefinition(
        numerical_columns=[name for name in findings if name not in CLASSES], categorical_columns=categorical
    )
    preset = DataDriftPreset(
        columns=list(findings),
        drift_share=1 / len(findings),  # one drifted feature is drift, on the page as in the verdict
        per_column_method={name: one.method for name, one in findings.items()},
        per_column_threshold={name: one.threshold for name, one in findings.items()},
    )
    token = _FINDINGS.set(findings)
    try:
        with np.errstate(invalid="ignore", divide="ignore"):  # a constant column has no correlation to draw
            return Report([preset]).run(
                Dataset.from_pandas(window, definition), Dataset.from_pandas(reference, definition)
            )
    finally:
        _FINDINGS.reset(token)


def _look_up(_: "pd.Series[float]", window: "pd.Series[float]", __: ColumnType, ___: float) -> tuple[float, bool]:
    """Answer what was found before: evidence of earlier windows, and half of a kernel's, is in no column."""
    found = _FINDINGS.get()[str(window.name)]
    return found.p_value, found.drifted


for _method, _title in TITLES.items():
    register_stattest(StatTest(_method, _title, [ColumnType.Numerical, ColumnType.Categorical]), _look_up)
