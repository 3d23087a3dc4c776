import re

import pytest

from windhover.ui.documentation import FOLDER, docs_of, render_markdown

PAGES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.md"))


def test_a_runbook_opens_where_its_link_leads_to(browser):
    answer = browser.get(docs_of("docs/runbook.md#postgresql-down").partition("#")[0])
    assert answer.status_code == 200
    assert 'id="postgresql-down"' in answer.text
    assert "<table>" in answer.text
    assert "script" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_an_anchor_of_another_page_arrives(page):
    for target, anchor in re.findall(r"\]\(([\w/]+\.md)#([\w-]+)\)", (FOLDER / page).read_text()):
        other = (FOLDER / page).parent / target
        if other.is_file():
            assert f'id="{anchor}"' in render_markdown(other.read_text()), (target, anchor)


@pytest.mark.parametrize(
    "page",
    ["secrets.md", "%2e%2e/README.md", "..%2f..%2fetc/passwd", "runbook", "strategies", "runbook.md%00", "a" * 300],
)
def test_nothing_but_the_documentation_is_shown(browser, page):
    assert browser.get(f"/windhover/docs/{page}").status_code in {404, 422}


def test_no_path_of_the_machine_is_a_page(browser, tmp_path):
    (tmp_path / "notes.md").write_text("private")
    assert browser.get(f"/windhover/docs/{tmp_path / 'notes.md'}").status_code == 404


def test_markdown_of_strangers_runs_and_fetches_nothing():
    page = render_markdown("<script>x</script> [a](javascript:x) ![b](http://elsewhere/b.png) <img onerror=x>")
    assert re.findall(r"<(?!/|p\b)\S+", page) == ["<a"]
    assert 'href="http://elsewhere/b.png"' in page
