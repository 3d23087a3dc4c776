from include.errors import ProjectFileError
from windhover.ui.catalogue import render_catalogue


def test_every_project_is_listed_also_one_without_images(ledger, project):
    other = project.model_copy(update={"name": "plankton", "title": "Plankton <b>of the bay</b>"})
    page = render_catalogue([project, other], [], ledger)
    assert page.count("Nothing is published yet") == 2
    assert 'href="/windhover/datasets/digits"' in page
    assert "Plankton &lt;b&gt;of the bay" in page


def test_published_datasets_show_their_quality_and_their_consumers(history):
    page = render_catalogue([history.project], [], history.ledger)
    for said in (
        "version 2",
        "1 of 3 passed",
        "1 \N{MULTIPLICATION SIGN} train",
        "newest certified model: version 4",
        "lineage of an image",
    ):
        assert said in page
    assert [page.count(f'class="square {kind}"') for kind in ("success", "released", "failed")] == [1, 1, 1]


def test_a_broken_project_file_is_said_and_hides_no_other(ledger, project):
    page = render_catalogue([project], [ProjectFileError("x.yaml: clases: unknown key")], ledger)
    assert "x.yaml: clases: unknown key" in page
    assert "Handwritten digits" in page


def test_no_project_at_all_says_how_to_begin(ledger):
    assert "make new-project" in render_catalogue([], [], ledger)
