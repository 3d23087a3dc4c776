import pytest

from include.data.catalogue import locate_datasheet
from include.errors import ArtifactNotFoundError
from windhover.ui.datasets import PICTURES, render_dataset, render_difference


def test_versions_quality_readers_releases_and_erasures_are_on_one_page(history):
    history.store.write(locate_datasheet(history.versions[0]), b"")
    page = render_dataset(history.project, history.store, history.ledger)
    for said in ("model version 4", "digits.train_model/1", "seen by eye", "request 17", "<td>1 image erased</td>"):
        assert said in page
    assert page.count(">datasheet</a>") == 1
    assert 'href="/windhover/datasets/digits/diff?before=1&amp;after=2"' in page
    assert [page.count(f">{verdict}</span>") for verdict in ("passed", "released", "failed")] == [1, 1, 1]
    assert "7 seen = 4 accepted + 1 duplicates + 2 quarantined" in page


def test_a_dataset_nobody_published_has_a_page(ledger, store, project):
    page = render_dataset(project, store, ledger)
    assert "No partition was validated yet." in page
    assert "Nothing is published yet." in page


def test_names_in_the_ledger_are_escaped(history):
    history.release("<script>alert(1)</script>")
    page = render_dataset(history.project, history.store, history.ledger)
    assert "<script" not in page


def test_a_difference_shows_what_came_and_what_changed_its_label(history):
    page = render_difference(history.project, 1, 2, history.store, history.ledger)
    added = len(history.rows) - len(history.first)
    assert f"<b>{added}</b><span>images added" in page
    assert "<b>0</b><span>images removed" in page
    assert page.count("<img") == min(added, PICTURES)
    assert f"?image={history.rows[-1]['digest']}" in page


def test_the_difference_backwards_is_what_went(history):
    page = render_difference(history.project, 2, 1, history.store, history.ledger)
    assert "<b>0</b><span>images added" in page
    assert page.count("<img") > 0


def test_a_version_is_no_different_from_itself(history):
    assert "The same images" in render_difference(history.project, 2, 2, history.store, history.ledger)


@pytest.mark.parametrize("version", [0, 3, -1])
def test_a_version_that_was_never_published_is_an_error(history, version):
    with pytest.raises(ArtifactNotFoundError, match=f"no dataset version {version}"):
        render_difference(history.project, 1, version, history.store, history.ledger)
