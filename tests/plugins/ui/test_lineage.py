import pytest

from include.errors import ArtifactNotFoundError
from include.ledger.erasures import refuse_forever
from windhover.ui.lineage import join_ranges, render_lineage


def test_a_file_leads_to_its_image_and_to_the_models_that_saw_it(history):
    row = history.first[0]
    page = render_lineage(history.project, history.store, history.ledger, source=row["source"])
    assert row["digest"] in page
    assert "<b>2</b>: 1 to 2" in page
    assert "model version 4" in page
    assert "/#/runs/run-one" in page
    assert page.count("<img") == 1


def test_an_image_that_came_later_was_seen_by_nobody(history):
    page = render_lineage(history.project, history.store, history.ledger, image=history.rows[-1]["digest"])
    assert "<b>1</b>: 2" in page
    assert "run-one" not in page


def test_an_erased_image_is_said_to_be_erased(history):
    image = history.first[0]["digest"]
    refuse_forever(history.ledger, "digits", [image])
    assert "It was forgotten on request" in render_lineage(history.project, history.store, history.ledger, image=image)


def test_without_a_wish_the_page_asks_for_one(ledger, store, project):
    page = render_lineage(project, store, ledger)
    assert 'name="source"' in page
    assert 'name="image"' in page


def test_an_image_whose_versions_are_gone_is_still_traced(history):
    history.store.remove("digits/images.lance")
    page = render_lineage(history.project, history.store, history.ledger, image=history.first[0]["digest"])
    assert "No version that is kept holds it." in page


def test_what_no_version_ever_held_is_an_error(history):
    with pytest.raises(ArtifactNotFoundError):
        render_lineage(history.project, history.store, history.ledger, source="never.png")


@pytest.mark.parametrize(
    ("numbers", "said"), [([], ""), ([4], "4"), ([1, 2, 3], "1 to 3"), ([1, 2, 5, 7, 8], "1 to 2, 5, 7 to 8")]
)
def test_numbers_are_joined_to_ranges(numbers, said):
    assert join_ranges(numbers) == said
