import re

import numpy as np
import pytest

from include.contracts import ModelVersionRef
from include.evaluation.evaluate import draw_confusion
from include.registry.model_card import card_address, write_model_card
from include.tracking import CURVES, confusion_path


@pytest.fixture
def write(quick_project, store, tracking):
    def call(decision):
        version = ModelVersionRef(model=decision.candidate.model, version=7, accuracy=0.99)
        write_model_card(version, decision, quick_project, store, tracking)
        return store.read(card_address(version)).decode()

    return call


def test_says_how_good_the_model_is_and_how_it_was_made(write, decide, quick_project, dataset):
    page = write(decide())
    for fact in ("version 7", "99.00 %", "98.00 %", "97.00 %", dataset.digest, "is enough", "2026-03-01"):
        assert fact in page
    assert "champion before" not in page
    assert "between 96.43 % and 99.73 %" in page


def test_compares_with_the_champion_on_the_same_images(write, decide):
    champion = decide("old").candidate.model_copy(update={"accuracy": 0.95})
    page = write(decide(champion=champion))
    assert "95.00 %" in page
    assert "+4.00 points" in page


def test_needs_nothing_from_elsewhere(write, decide, tracking):
    decision = decide()
    run_id = decision.candidate.model.run_id
    with tracking.connect() as client:
        figure = draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"], "t")
        client.log_figure(run_id, figure, CURVES)
        client.log_figure(run_id, figure, confusion_path(decision.candidate.test_digest))
    page = write(decision)
    assert page.count('src="data:image/png;base64,') == 2
    assert not re.findall(r'(?:src|href)="(?!data:|http://127\.0\.0\.1:\d+/#/)', page)
    assert "<script" not in page


def test_names_are_text_and_never_markup(write, decide):
    page = write(decide(reasons=("<script>alert(1)</script>",)))
    assert "<script>" not in page
    assert "&lt;b&gt;" in page


def test_a_run_without_figures_is_admitted(write, decide):
    assert write(decide()).count("not recorded in the run") == 2
