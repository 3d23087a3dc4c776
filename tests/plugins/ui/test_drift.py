from datetime import timedelta

import pytest

from include.contracts import DriftReport, FeatureDriftReport
from include.monitoring.series import name_drift_page, record_drift
from tests.plugins.samples import DRIFT, STABLE
from windhover.ui.drift import render_drift

ATTACK = "<script>alert('x')</script>"
FEATURES = tuple(
    FeatureDriftReport(
        feature=name, method="rank_bets", p_value=p_value, threshold=0.05, drifted=p_value < 0.05, evidence=1 / p_value
    )
    for name, p_value in (("brightness", 0.5), ("sharpness", 0.0001))
)
JUDGED = DRIFT.model_copy(update={"features": FEATURES, "evidence": 10000.0, "limit": 4382.5})


def keep(store, report: DriftReport) -> str:
    """Record a window as `detect_drift` does, and return the address of its page."""
    report = report.model_copy(update={"report": name_drift_page(report)})
    record_drift(store, report)
    return report.report


def test_a_page_that_was_pruned_is_drawn_of_what_was_recorded(store):
    page = render_drift(store, keep(store, JUDGED))
    assert page.index("<b>sharpness</b>") < page.index("<b>brightness</b>")
    said = ("2026-11-20 09:00 to 2026-11-20 10:00 UTC", JUDGED.release, "drift: sharpness differs", "1e+04", "4382")
    assert [part for part in said if part not in page] == []
    assert page.count('<span class="verdict">yes</span>') == 1


@pytest.mark.parametrize("update", [{}, {"release": None, "summary": ATTACK}])
def test_a_stable_window_has_a_page_too(store, update):
    page = render_drift(store, keep(store, STABLE.model_copy(update=update)))
    assert '<span class="verdict success">stable</span>' in page
    assert "<script" not in page


def test_a_window_that_nobody_recorded_has_none(store):
    address = keep(store, JUDGED)
    assert render_drift(store, address.replace("digits", "plankton")) is None


def test_its_link_leads_there_and_evidently_s_own_page_comes_first(browser, machine_store):
    address = keep(machine_store, JUDGED)
    drawn = browser.get(f"/windhover/reports/{address}")
    assert (drawn.status_code, "script" in drawn.headers["content-security-policy"]) == (200, False)
    assert "sharpness" in drawn.text
    early = JUDGED.model_copy(update={"end": JUDGED.end + timedelta(minutes=1)})
    machine_store.write(other := keep(machine_store, early), b"<h1>by Evidently</h1>")
    assert browser.get(f"/windhover/reports/{other}").text == "<h1>by Evidently</h1>"
