import re

import pytest

from include.contracts import ExpectationReport, ValidationReport
from include.data.data_docs import MAX_NAMED_FILES, render_page
from include.storage import digest_bytes

HOSTILE = "<script>alert(1)</script><img src=//x onerror=go()>"


def expectation(**changes):
    return ExpectationReport(**{"expectation": "expect_x", "success": True, "observed": "0 of 9 rows"} | changes)


@pytest.fixture
def render():
    """Render the page of a partition, after its report was changed."""

    def render(troubles=(), quarantine=(), released=None, **changes):
        report = ValidationReport(
            project="digits", partition="2026-11-02", address="a", digest=digest_bytes(b""), seen=104, accepted=12,
            duplicates=7, quarantined=85, success=not troubles, data_docs="",
        )  # fmt: skip
        return render_page(report.model_copy(update=changes), troubles, quarantine, released)

    return render


def refuse(number):
    return {"source": f"images/{number:03d}.png", "reason": "truncated", "detail": "cut off"}


def test_the_page_begins_with_the_verdict_and_the_counts(render):
    page = render()
    assert '<span class="verdict success">passed</span>' in page
    assert "12 of 104 files may be published." in page
    assert re.findall(r"<b>(\d+)</b>", page) == ["104", "12", "7", "85"]


def test_what_stops_it_comes_before_everything_else(render):
    broken = (
        expectation(success=False, on_failure="warn", description="Rather bright."),
        expectation(success=False, on_failure="stop", description="No leak.", rows=("a.png",), unexpected=1),
        expectation(description="All fine."),
        expectation(description="Nothing known.", checked=False, observed="fewer than 3"),
    )
    page = render(troubles=["a group lies in two splits"], expectations=broken)
    assert '<span class="verdict">stopped</span>' in page
    assert "release this content with the DAG digits.release_quarantine" in page
    places = [page.index(words) for words in ("two splits", "No leak.", "a.png", "Rather bright.", "All fine.")]
    assert places == sorted(places)
    assert "1 met, 1 not checked" in page


def test_a_release_is_shown_with_its_reason_and_what_it_overruled(render):
    page = render(troubles=["too much quarantine"], released="night shots are dark")
    assert '<span class="verdict released">released</span>' in page
    assert page.index("night shots are dark") < page.index("What was overruled") < page.index("too much quarantine")


@pytest.mark.parametrize(("count", "words"), [(1, "with 1 warning worth"), (2, "with 2 warnings worth")])
def test_warnings_are_counted(render, count, words):
    assert words in render(expectations=(expectation(success=False, on_failure="warn"),) * count)


def test_the_first_files_are_named_and_the_rest_counted(render):
    rows = tuple(f"{number}.png" for number in range(20))
    page = render(expectations=(expectation(success=False, unexpected=1000, rows=rows),))
    assert "19.png" in page
    assert "and 980 that are not named here" in page
    page = render(quarantine=[refuse(number) for number in range(MAX_NAMED_FILES)], quarantined=203)
    assert page.count(">truncated</td>") == MAX_NAMED_FILES
    assert "and 3 more, in digits/quarantine/2026-11-02.parquet" in page
    assert "more, in" not in render(quarantine=[refuse(1)], quarantined=1)


def test_what_was_found_is_shown_and_harmless(render):
    broken = expectation(success=False, observed=HOSTILE, description=HOSTILE, requirement=HOSTILE, rows=(HOSTILE,))
    row = {"source": HOSTILE, "reason": "empty", "detail": HOSTILE}
    page = render(troubles=[HOSTILE], quarantine=[row], released=HOSTILE, expectations=(broken,))
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") == 8


def test_the_page_needs_no_network_and_runs_nothing(render):
    page = render(expectations=(expectation(),), quarantine=[refuse(1)])
    assert re.findall(r"<script|<link|<img|(?:href|src)=[\"'](?!#)", page) == []
    assert "default-src 'none'" in page
