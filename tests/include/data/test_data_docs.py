import copy
import re

import pytest

from include.data.data_docs import MAX_NAMED_FILES, render_page
from include.data.expectations import run_expectations
from include.data.staging import read_manifest

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def validated(project, store, make_day):
    """A report and the manifest it is about."""
    report = make_day(images=12).close().validate(project, store)
    return report, read_manifest(store, f"{report.address}/accepted.parquet").to_pandas()


@pytest.fixture
def render(project, validated):
    """Render the page, after the manifest or the report was changed."""

    def render(quarantine=(), labels=None, **changes):
        report, manifest = validated
        if labels is not None:
            manifest["label"] = labels
        result = run_expectations(project, report.partition, manifest)
        return render_page(report.model_copy(update=changes), result, quarantine)

    return render


def refuse(number):
    return {"source": f"images/{number:03d}.png", "reason": "truncated", "detail": "cut off"}


def test_the_page_begins_with_counts_and_verdict(render):
    page = render(seen=104, accepted=12, duplicates=7, quarantined=85)
    assert re.findall(r'class="number">(\d+)<', page) == ["104", "12", "7", "85"]
    assert '<span class="verdict success">expectations met</span>' in page
    assert "Every file was accepted or a duplicate." in page
    assert '<span class="verdict ">expectations failed</span>' in render(success=False)


def test_so_many_quarantined_files_are_named_and_the_rest_counted(render):
    page = render(quarantine=[refuse(number) for number in range(MAX_NAMED_FILES + 3)])
    assert page.count("<td>truncated</td>") == MAX_NAMED_FILES
    assert "and 3 more, in digits/quarantine/2026-11-02.parquet" in page
    assert "more, in" not in render(quarantine=[refuse(number) for number in range(MAX_NAMED_FILES)])


def test_values_that_broke_an_expectation_are_shown_and_harmless(render):
    page = render(labels=HOSTILE, quarantine=[{"source": HOSTILE, "reason": "empty", "detail": HOSTILE}])
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") >= 3


def test_nothing_on_the_page_leads_away_from_it(render):
    page = render(labels="eleven")
    assert "eleven" in page
    assert re.findall(r"(?:href|src)=[\"'](?!#)[^\"']*", page) == []
    assert "<script" not in page


def test_the_validation_result_stays_as_it_was(project, validated):
    report, manifest = validated
    manifest["label"] = HOSTILE
    result = run_expectations(project, report.partition, manifest)
    before = copy.deepcopy(result.to_json_dict())
    render_page(report, result, [])
    assert result.to_json_dict() == before
