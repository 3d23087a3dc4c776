"""The page of a drifted window, by Evidently: what was tested, and how each feature lies against the reference."""

import os
from collections.abc import Sequence
from contextvars import ContextVar

import numpy as np
import pandas as pd

from include.contracts import DriftReport, FeatureDriftReport
from include.monitoring.layers import CLASSES, Weighed
from include.storage import Store, digest_bytes

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


def publish_page(report: DriftReport, weighed: Sequence[Weighed], store: Store) -> str:
    """Publish the page and the result of a window; return the page's address.

    Only the newest pages stay; every result does.
    """
    content = report.model_dump_json(exclude={"report"})
    digest = digest_bytes(content.encode()).removeprefix("sha256:")[:16]
    folder = f"{report.project}/reports/drift"
    address = f"{folder}/{report.end:%Y%m%dT%H%M%S}-{digest}"
    # Evidently numbers its charts at random: the address is made of the inputs, and the first page stays.
    if not store.exists(f"{address}/{PAGE}"):
        snapshot = render(report, weighed)
        store.write(f"{address}/{RESULT}", snapshot.json().encode())
        store.write(f"{address}/{PAGE}", snapshot.get_html_str(as_iframe=False).encode())
        for old in sorted(store.list(folder, f"*/{PAGE}"))[:-PAGES]:
            if not old.startswith(address):
                store.remove(old)
    return f"{address}/{PAGE}"


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
