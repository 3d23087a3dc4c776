"""The look all pages share: that of the reports the data stage writes."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.settings import REPOSITORY
from windhover.links import PAGES, page_of
from windhover.ui.documentation import docs_of, render_markdown

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
    environment.filters |= {
        "page_of": page_of,
        "docs_of": docs_of,
        "markdown": render_markdown,
        "lasting": say_duration,
        "rate": say_rate,
    }
    return environment


def say_duration(length: timedelta) -> str:
    """Write a length of time in the largest unit it fills."""
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if length.total_seconds() >= seconds:
            return f"{length.total_seconds() / seconds:.3g} {unit}"
    return f"{length.total_seconds():.0f} s"


def say_rate(rate: float) -> str:
    """Write bytes a second in the largest unit they fill."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.0f} B"
