from types import SimpleNamespace

import pytest

from windhover import links

ALL = [value for value in vars(links).values() if isinstance(value, links.EvidenceLink)]


@pytest.mark.parametrize("link", ALL, ids=lambda link: link.name)
def test_a_link_shows_what_the_operator_left_and_nothing_else(link):
    operator = SimpleNamespace(evidence={link.name: "/page", "Other": "/other"})
    assert link.get_link(operator, ti_key=None) == "/page"


@pytest.mark.parametrize("operator", [SimpleNamespace(), SimpleNamespace(evidence={})])
def test_without_evidence_there_is_no_page(operator):
    assert links.DATA_DOCS.get_link(operator, ti_key=None) == ""


def test_links_of_one_task_do_not_overwrite_each_other():
    assert len({link.name for link in ALL}) == len({link.xcom_key for link in ALL}) == len(ALL) == 14
    assert all(link.xcom_key.isascii() and " " not in link.xcom_key for link in ALL)


def test_a_report_has_a_page_below_the_plugin():
    assert links.page_of("digits/reports/drift/1/index.html") == (
        "/windhover/reports/digits/reports/drift/1/index.html"
    )
    assert links.rollouts_of("digits") == "/windhover/rollouts/digits"
