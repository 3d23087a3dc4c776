"""Data Docs of one partition as one page that needs no network and runs no script.

Great Expectations' own page draws its style sheets and scripts from five content delivery networks, and prints file
names unescaped. Its renderer's content is kept; the frame around it is ours.
"""

import copy
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaSectionView
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from include.contracts import ValidationReport

MAX_NAMED_FILES = 200
SITE_LINK = re.compile(r'<a href="\.\./[^"]*"\s*>(.*?)</a>')


def render_page(
    report: ValidationReport, result: ExpectationSuiteValidationResult, quarantine: Sequence[Mapping[str, Any]]
) -> str:
    """Render counts, quarantined files and the validation result as HTML.

    :param quarantine: Rows with `source`, `reason` and `detail`.
    """
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    return pages.get_template("data_docs.html").render(
        report=report,
        quarantine=quarantine[:MAX_NAMED_FILES],
        unnamed=max(0, len(quarantine) - MAX_NAMED_FILES),
        sections=Markup(_render_sections(result)),  # noqa: S704 - the page's policy lets nothing in it run or load
    )


def _render_sections(result: ExpectationSuiteValidationResult) -> str:
    harmless = copy.deepcopy(result)
    for one in harmless.results:
        one.result = _escape(one.result)
    document = ValidationResultsPageRenderer().render(harmless).to_json_dict()
    sections = enumerate(document["sections"], start=1)
    view: Any = DefaultJinjaSectionView()
    rendered = "".join(
        view.render({"section": section, "section_loop": {"index": index}}) for index, section in sections
    )
    # Links into the rest of a Data Docs site would lead nowhere: this page is all of it.
    return SITE_LINK.sub(r"\1", rendered)


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, dict):
        return {key: _escape(part) for key, part in value.items()}
    return [_escape(part) for part in value] if isinstance(value, list) else value
