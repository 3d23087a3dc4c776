import gzip

import pytest

from windhover.ui.static import FILES, FOLDER, locate_file, name_file


@pytest.mark.parametrize("name", FILES)
def test_a_file_under_its_digest_is_kept_for_good(browser, name):
    answer = browser.get(f"/windhover/{name_file(name)}")
    assert answer.status_code == 200
    assert answer.content == locate_file(name).read_bytes()
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_a_digest_it_is_asked_for_again(browser):
    answer = browser.get("/windhover/static/kestrel.svg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert "immutable" not in answer.headers["cache-control"]


def test_plotly_comes_from_its_package_and_from_nowhere_else():
    path = locate_file("plotly.js")
    assert "site-packages/plotly/" in path.as_posix()
    assert b"plotly.js v" in path.read_bytes()[:200]
    assert len(gzip.compress(path.read_bytes(), 5)) < 2_000_000


@pytest.mark.parametrize(
    "name", ["static.py", "secrets.json", "%2e%2e%2fpages.py", "0123456789ab/overview.js", "overview.js%00"]
)
def test_nothing_else_is_sent(browser, name):
    assert browser.get(f"/windhover/static/{name}").status_code == 404


def test_every_file_of_ours_is_listed():
    assert {path.name for path in FOLDER.iterdir()} | {"plotly.js"} == set(FILES)


def test_our_scripts_ask_nobody_else():
    for path in FOLDER.glob("*.js"):
        assert "://" not in path.read_text()
