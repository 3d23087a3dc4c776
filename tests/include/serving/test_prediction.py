"""What is told and what is logged of one image; the service that does both is in test_service.py."""

import numpy as np
import pytest

from include.contracts import RecordingPolicy, ReleasePlan
from include.predictions import PREDICTIONS
from include.serving.fallback import Answer
from include.serving.model import Output, load_model
from include.serving.plan import LivePlan
from include.serving.prediction import Asked, describe, write_row

DARK = np.full((32, 32, 3), 90, np.uint8)
SAID = Output(np.eye(10, dtype=np.float32)[4], np.ones(3, np.float32), 0.5)


@pytest.fixture
def make_live(store, make_release):
    def make(**recording) -> LivePlan:
        model = load_model(store, make_release(1))
        plan = ReleasePlan(project="digits", revision=7, champion=model.release, recording=RecordingPolicy(**recording))
        return LivePlan(plan, model, None, None)

    return make


def ask(live: LivePlan, data: bytes | None = None) -> Asked:
    return Asked("digits-1", "champion", DARK, data, live.champion, None)


def test_what_is_told_names_who_answered_and_the_likeliest_class(make_live):
    live = make_live()
    told = describe(ask(live), live, Answer("champion", live.champion, SAID, None))
    assert (told.predicted, told.confidence, told.revision, told.model_version) == ("4", 1.0, 7, 1)
    assert (told.variant, told.answered_by, told.reason) == ("champion", "champion", None)
    assert list(told.probabilities) == list(live.champion.manifest.classes)


def test_where_nobody_answers_it_says_why(make_live):
    live = make_live()
    told = describe(ask(live), live, Answer("abstain", live.champion, None, "champion: broken"))
    assert (told.predicted, told.confidence, told.probabilities) == (None, None, {})
    assert told.reason == "no model could answer"


def test_a_row_has_every_column_of_the_log_but_its_latency(make_live, png):
    live = make_live()
    answer = Answer("champion", live.champion, SAID, None)
    row = write_row(live, asked := ask(live, png), answer, describe(asked, live, answer), "ada", "digits/images/1.png")
    assert row.keys() == set(PREDICTIONS.names) - {"latency_ms"}
    assert (row["format"], row["bytes"], row["ood"], row["embedding"]) == ("PNG", len(png), 0.5, [1.0, 1.0, 1.0])
    assert "ada" not in row.values()


def test_embeddings_are_left_out_where_the_project_says_so_and_pixels_have_no_format(make_live):
    live = make_live(embeddings=False)
    answer = Answer("champion", live.champion, SAID, None)
    row = write_row(live, asked := ask(live), answer, describe(asked, live, answer), None, None)
    assert (row["embedding"], row["format"], row["bytes"], row["key"]) == (None, None, None, None)


def test_of_an_image_too_odd_to_answer_the_log_has_what_the_model_would_have_said(make_live):
    live = make_live()
    answer = Answer("abstain", live.champion, None, None, withheld=SAID)
    told = describe(asked := ask(live), live, answer)
    row = write_row(live, asked, answer, told, None, None)
    assert (told.predicted, row["predicted"], row["answered_by"]) == (None, "4", "abstain")
