"""The look all pages share: that of the reports the data stage writes."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.settings import REPOSITORY
from windhover.links import PAGES, page_of

FOLDERS = (Path(__file__).parent, REPOSITORY / "include" / "data")


def render(page: str, **values: Any) -> str:
    """Render one page; every name that came with the data is escaped."""
    return _environment().get_template(page).render(pages=PAGES, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDERS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["page_of"] = page_of
    return environment
