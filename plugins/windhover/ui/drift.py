"""The page of a window's drift for which the store has none: the window was stable, or its page was pruned."""

from typing import TYPE_CHECKING

from windhover.ui.templates import render

if TYPE_CHECKING:
    from include.storage import Store


def render_drift(store: "Store", address: str) -> str | None:
    """Render what was recorded of the window whose page has an address; None where nothing was."""
    from include.monitoring.series import find_drift_report

    report = find_drift_report(store, address)
    if report is None:
        return None
    features = sorted(report.features, key=lambda one: one.evidence, reverse=True)
    return render("drift.html", report=report, features=features)
