"""The documentation as pages: who is on call reads the runbook where the incident is, without a network."""

import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

from include.errors import ArtifactNotFoundError
from include.settings import REPOSITORY
from windhover.links import PAGES

if TYPE_CHECKING:
    from markdown_it.token import Token

FOLDER = REPOSITORY / "docs"


def render_markdown(text: str) -> Markup:
    """Return Markdown as HTML, what is HTML in it escaped, headings with the anchors that GitHub gives them."""
    parser = _make_parser()
    tokens = parser.parse(text)
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            before.attrSet("id", _name_anchor(token))
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - HTML is off


def read_document(name: str) -> str:
    """Return a page of the documentation as Markdown.

    :param name: Path below `docs/`.
    :raises ArtifactNotFoundError: there is none.
    """
    folder = FOLDER.resolve()
    path = folder if "\0" in name else (folder / name).resolve()
    if not path.is_relative_to(folder) or path.suffix != ".md" or not path.is_file():
        raise ArtifactNotFoundError(f"no page {name!r} in the documentation of this installation, docs/")
    return path.read_text()


def docs_of(runbook: str) -> str:
    """Return the path of a page of the documentation, such as `docs/runbook.md#parts`, in the Airflow web UI."""
    return f"{PAGES}/{runbook}"


def _name_anchor(heading: "Token") -> str:
    words = "".join(part.content for part in heading.children or ())
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


@cache
def _make_parser() -> MarkdownIt:
    # Nothing is fetched from elsewhere, so that nobody learns who reads.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
