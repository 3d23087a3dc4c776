"""Every relative link of the documentation, and every runbook line of a DAG, leads somewhere."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
DAGS = sorted(path for path in (ROOT / "dags").glob("[!_]*.py") if path.stem != "project_files")
EXTERNAL = ("http://", "https://", "mailto:")
RUNBOOK = re.compile(r"^Runbook: `(?P<link>[^`]+)`", re.MULTILINE)
markdown = MarkdownIt("commonmark").enable("table")


def list_links(page: Path) -> list[str]:
    inline = [child for token in markdown.parse(page.read_text()) for child in token.children or ()]
    found = [str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inline if child.attrs]
    return [unquote(link) for link in found if link and not link.startswith(EXTERNAL)]


def list_anchors(page: Path) -> set[str]:
    """Name the headings as GitHub does: lower case, no punctuation, hyphens for spaces, a number for a repetition."""
    tokens = markdown.parse(page.read_text())
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    seen: Counter[str] = Counter()
    anchors = set()
    for slug in slugs:
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def find_fault(source: Path, link: str) -> str | None:
    name, _, anchor = link.partition("#")
    target = (source.parent / name).resolve() if name else source
    if not target.exists():
        return f"{link}: no {target}"
    if anchor and anchor not in list_anchors(target):
        return f"{link}: no heading of that name, there are {sorted(list_anchors(target))}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_resolves(page):
    assert page.exists()
    assert [fault for link in list_links(page) if (fault := find_fault(page, link))] == []


def test_every_page_is_reachable_from_the_index():
    named = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in list_links(ROOT / "docs" / "README.md")}
    assert {page for page in PAGES if page.name != "README.md"} - named == set()


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_the_runbook_line_of_a_dag_resolves(path):
    line = RUNBOOK.search(path.read_text())
    assert line, "a DAG's docstring ends with `Runbook: ...`"
    assert line["link"].endswith(f"#{path.stem}")
    assert find_fault(ROOT / "README.md", line["link"]) is None


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("runbook.md#ingest_images", None),
        ("runbook.md#postgresql-down", None),
        ("runbook.md#ingest-images", "no heading"),
        ("nowhere.md", "no /"),
    ],
)
def test_a_broken_link_is_found(link, fault):
    found = find_fault(ROOT / "docs" / "README.md", link)
    assert found is None if fault is None else fault in found
