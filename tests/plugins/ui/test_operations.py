import re
from datetime import UTC, datetime

import pytest

from tests.plugins.ui.played_airflow import make_question

PAGE = "/windhover/overview/digits"


def test_the_loop_shows_the_newest_run_of_each_dag(browser, ledger_connection, airflow):
    airflow.runs = {"digits.train_model": "running", "digits.ingest_images": "success"}
    loop = browser.get(f"{PAGE}/live").json()["panels"]["loop"]
    assert loop.count('data-state="never"') == 3
    assert (
        'data-state="running"><a href="/dags/digits.train_model/runs/manual__2026-11-21T10%3A00%3A00%2B00%3A00">'
        in loop
    )


@pytest.fixture
def ask(operator, ledger_connection, airflow):
    """Give a function that has a task ask, and returns what the page makes of it."""

    def show(**values):
        airflow.questions = [make_question(**values)]
        return operator.get(f"{PAGE}/live").json()["panels"]["questions"]

    return show


def test_a_question_has_its_options_as_buttons_and_its_fields(ask):
    panel = ask()
    assert 'value="Approve">Approve</button>' in panel
    assert 'value="Reject" class="second">Reject</button>' in panel
    assert '<label>Reason <input name="field.reason" value=""' in panel
    assert "tasks/approve_promotion/required_actions" in panel


def test_a_field_of_few_values_is_a_list(ask):
    schema = {"type": "string", "enum": ["cat", "dog"]}
    panel = ask(params={"label": {"value": "dog", "description": None, "schema": schema}})
    assert (
        '<select name="field.label"><option value="cat">cat</option><option value="dog" selected>dog</option></select>'
        in panel
    )


def test_a_field_that_may_be_left_empty_is_none_then(ask, operator, airflow):
    schema = {"type": ["null", "string"], "enum": [None, "cat"], "title": "Image 1"}
    panel = ask(params={"request-1": {"value": None, "description": None, "schema": schema}})
    assert '<select name="optional.request-1"><option value="" selected>-</option>' in panel
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', panel))
    sent = operator.post(f"{PAGE}/answers", data=form | {"option": "Approve", "optional.request-1": ""})
    assert sent.status_code == 303
    assert airflow.deeds[0][3]["params_input"] == {"request-1": None}


def test_images_to_label_are_shown_where_they_are_labelled(ask):
    sheet = "/windhover/reports/digits/reports/relabelling/4-ab/index.html"
    assert f'src="{sheet}" title="The images, numbered"></iframe>' in ask(body=f"[The images]({sheet}), numbered.")
    assert "iframe" not in ask(body="[The page](/windhover/reports/digits/reports/evaluation/4/index.html)")
    assert "iframe" not in ask(body='[x](/windhover/reports/a/relabelling/"onload=alert(1))')


def test_a_question_that_was_only_just_asked_waits(ask):
    panel = ask(created_at=datetime.now(UTC).isoformat())
    assert "It has only just been asked" in panel
    assert "<button" not in panel


@pytest.mark.parametrize(
    "values",
    [{"multiple": True}, {"params": {"labels": {"value": {}, "description": None, "schema": {"type": "object"}}}}],
    ids=["several-options", "a-field-of-no-text"],
)
def test_what_is_no_matter_of_text_is_led_to_airflows_own_page(ask, values):
    panel = ask(**values)
    assert "Answer it on the task's own page" in panel
    assert "<button" not in panel


def test_nothing_asked_is_no_card(operator, ledger_connection):
    assert operator.get(f"{PAGE}/live").json()["panels"]["questions"] == ""
