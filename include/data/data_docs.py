"""Data Docs of one partition: one page that needs no network and runs no script.

Great Expectations' own page draws its style sheets and scripts from five content delivery networks, prints file names
unescaped, and begins with its own statistics. Its words are kept; the page around them is ours, verdict first.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.contracts import ExpectationReport, ValidationReport

MAX_NAMED_FILES = 200
SEVERITY = {"stop": 0, "quarantine": 1, "warn": 2}


def render_page(
    report: ValidationReport,
    troubles: Sequence[str],
    quarantine: Sequence[Mapping[str, Any]],
    released: str | None = None,
) -> str:
    """Render verdict, counts, broken expectations, quarantined files and everything else as HTML.

    :param troubles: What keeps the partition out of the dataset, see `include.data.quality.find_troubles`.
    :param quarantine: Rows with `source`, `reason` and `detail`; the first 200 are shown.
    :param released: Why an approver lets the partition pass all the same.
    """
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    broken = sorted((one for one in report.expectations if not one.success), key=lambda one: SEVERITY[one.on_failure])
    return pages.get_template("data_docs.html").render(
        report=report,
        troubles=troubles,
        released=released,
        warnings=sum(one.on_failure == "warn" for one in broken),
        broken=broken,
        rest=[(_say_state(one), one) for one in report.expectations if one.success],
        quarantine=quarantine[:MAX_NAMED_FILES],
        unnamed=max(0, report.quarantined - MAX_NAMED_FILES),
    )


def _say_state(one: ExpectationReport) -> str:
    return "met" if one.checked else "not checked"
