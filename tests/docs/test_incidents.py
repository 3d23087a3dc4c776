"""The page about incidents knows every kind and the whole matrix, and every runbook page the code names is there."""

import re
from pathlib import Path
from typing import get_args

import pytest

from include.contracts import IncidentKind
from include.ledger.severity import LEVELS, rate_severity
from include.settings import REPOSITORY
from tests.docs.test_links import find_fault

PAGE = (REPOSITORY / "docs" / "incidents.md").read_text()
REFERENCE = re.compile(r"\bdocs/[\w/]+\.md#[\w-]+")
SOURCES = [path for folder in ("include", "plugins") for path in (REPOSITORY / folder).rglob("*.py")]
REFERENCES = sorted({link for path in SOURCES for link in REFERENCE.findall(path.read_text())})


def test_every_kind_is_explained():
    section = PAGE.split("\n## What opens one\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(get_args(IncidentKind))


def test_the_matrix_is_that_of_the_code():
    for impact in LEVELS:
        row = re.search(rf"^\| {impact} \| (\w+) \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
        assert list(row.groups()) == [rate_severity(impact, urgency) for urgency in LEVELS]


def test_the_code_refers_to_pages():
    assert "docs/runbook.md#deploy_model" in REFERENCES


@pytest.mark.parametrize("link", REFERENCES)
def test_every_runbook_page_that_the_code_names_is_there(link):
    assert find_fault(Path(REPOSITORY / "README.md"), link) is None
