import json
import re

import pytest

from include.ledger.freezes import freeze_rollouts
from include.ledger.incidents import list_incidents
from tests.plugins.ui.played_airflow import make_question
from windhover.ui.figures import FIGURES
from windhover.ui.overview_pages import PANELS

PAGE = "/windhover/overview/digits"


def test_the_entry_leads_to_the_first_project(browser):
    answer = browser.get("/windhover/overview")
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


def test_one_page_tells_it_all(browser, told_story, airflow):
    airflow.questions = [make_question()]
    page = browser.get(PAGE).text
    for said in (
        "Version 3 is on trial and answers 25 % of the requests; version 2 answers the rest.",
        "97.0 % right among 120 labelled answers, certified with 95.0 %.",
        "camera: blurred lens. Answer: retrain.",
        "Promote a new model of &lt;Handwritten digits&gt;?",
        "The judge says <b>continue</b> at step 1, after 212 requests of the candidate.",
        "expected +17.0 points",
        "-20 % left",
        "Version 3</b></a>, published",
        "/windhover/datasets/digits/diff?before=2&amp;after=3",
        "disk 78% full, in 3.7 h if it goes on like this",
        "monitor_model is 20 minutes late",
        "<b>bea</b> is on it since",
        "alarm after one minute",
        "The whole chain, checked",
    ):
        assert said in page
    assert "Not ours" not in page


def test_what_people_and_data_brought_is_escaped_everywhere(browser, told_story, airflow):
    airflow.questions = [make_question()]
    page, live = browser.get(PAGE).text, browser.get(f"{PAGE}/live").text
    assert "camera: blurred lens &lt;i&gt;east&lt;/i&gt;" in page
    for text in (page, live):
        assert "<i>east" not in text
        assert "<b>differs" not in text
        assert "<Handwritten" not in text


def test_scripts_come_from_this_server_alone_and_none_stands_in_the_page(browser, told_story):
    answer = browser.get(PAGE)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert (
        policy["script-src"] == policy["connect-src"] == policy["form-action"] == policy["frame-ancestors"] == "'self'"
    )
    assert policy["default-src"] == "'none'"
    assert answer.headers["cache-control"] == "no-store"
    assert re.findall(r"<script(?! src=\"/windhover/static/)", answer.text) == []
    assert re.findall(r"\son\w+=", answer.text) == []
    assert set(re.findall(r"(?:https?:)?//[\w.]+", answer.text)) == set()


def test_what_holds_rollouts_back_is_said_where_one_looks_for_it(browser, story):
    freeze_rollouts(story, "digits", cause="slo/accuracy", reason="the budget is used up", who="watcher")
    assert "No rollout begins since" in browser.get(f"{PAGE}/live").json()["panels"]["release"]


def test_a_post_mortem_is_led_to_once_it_is_drafted(browser, story, machine_store):
    address = "digits/reports/post_mortem/3/index.html"
    assert "post-mortem</a>" not in browser.get(PAGE).text
    machine_store.write(address, b"<h1>Incident 3</h1>")
    assert f'<a href="/windhover/reports/{address}">post-mortem</a>' in browser.get(PAGE).text
    assert "Incident 3" in browser.get(f"/windhover/reports/{address}").text


def test_a_viewer_finds_nothing_to_press(browser, told_story, airflow):
    airflow.questions = [make_question()]
    page = browser.get(PAGE).text
    assert '<form method="post"' not in page
    assert "who may look but not act" in page
    assert "Your role may look, not answer." in page


def test_whoever_may_run_dags_finds_every_deed(operator, told_story, airflow):
    airflow.questions = [make_question()]
    page = operator.get(PAGE).text
    for deed in (
        "switches", "retirements", "answers", "incidents", "incidents/1/acknowledgements", "actions",
        "corrective-actions",
    ):  # fmt: skip
        assert f'<form method="post" action="{PAGE}/{deed}"><input type="hidden" name="token" value="' in page
    assert "incidents/2/acknowledgements" not in page
    assert page.count("<option>1</option>") == 1


def test_what_renews_itself_is_the_same_as_what_was_there_first(operator, told_story):
    page, live = operator.get(PAGE).text, operator.get(f"{PAGE}/live").json()
    assert set(live["panels"]) == set(PANELS)
    assert set(live["figures"]) == set(FIGURES)
    # The clock of each is its own.
    assert live["panels"]["incidents"] in page
    assert not any(figure["empty"] for figure in live["figures"].values())


def test_a_project_without_a_history_says_what_to_do(browser, ledger_connection):
    page, live = browser.get(PAGE).text, browser.get(f"{PAGE}/live").json()
    for said in ("Nothing is in service", "Nothing is certified yet.", "No incident is open.", "digits.deploy_model"):
        assert said in page
    assert all(figure["empty"] for figure in live["figures"].values())
    assert "<h1>At work</h1>" in page


def test_a_store_that_does_not_answer_takes_only_its_panels(browser, told_story, monkeypatch):
    def refuse(*_, **__):
        raise OSError("the store is away")

    monkeypatch.setattr("include.storage.Store.list", refuse)
    page, live = browser.get(PAGE).text, browser.get(f"{PAGE}/live").json()
    assert page.count('<p class="fault">the store is away</p>') >= 2
    assert "monitor_model is 20 minutes late" in page
    assert live["figures"]["accuracy"] is None
    assert live["figures"]["host"]["data"]


def test_what_another_version_has_left_takes_only_its_panels(browser, story, machine_store):
    name = machine_store.list("digits/profiles/series/drift", "*.tsv")[-1]
    machine_store.write(name, machine_store.read(name).replace(b'"verdict"', b'"judgement"'))
    answer = browser.get(f"{PAGE}/live")
    assert "DriftReport" in answer.json()["panels"]["glance"]
    assert answer.json()["figures"]["drift"] is None
    assert "monitor_model is 20 minutes late" in answer.json()["panels"]["incidents"]


def test_without_the_ledger_there_is_a_sentence_and_no_password(browser, machine_store):
    for path in (PAGE, f"{PAGE}/live"):
        answer = browser.get(path)
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        assert "secret" not in answer.text


def test_an_airflow_that_fails_is_said_and_takes_nothing_else(browser, told_story, airflow):
    airflow.broken = True
    page = browser.get(PAGE).text
    assert "Airflow answers 500: the database is away" in page
    assert "Version 3 is on trial" in page


@pytest.mark.parametrize("path", ["/windhover/overview/digits?days=0", "/windhover/overview/digits?days=367"])
def test_no_span_of_time_but_days_up_to_a_year(browser, path):
    assert browser.get(path).status_code == 422


@pytest.mark.parametrize("path", ["DIGITS", "%2e%2e", "..%2fdigits", "digits%00"])
def test_no_other_name_is_looked_up(browser, path):
    assert browser.get(f"/windhover/overview/{path}").status_code in {404, 422}


def test_a_project_that_is_not_there_has_no_page(browser, ledger_connection):
    assert browser.get("/windhover/overview/plankton").status_code == 404


def test_a_notice_is_one_of_ours_and_nothing_that_an_address_says(browser, ledger_connection):
    assert "The incident is open." in browser.get(f"{PAGE}?done=opened").text
    assert "send money" not in browser.get(f"{PAGE}?done=send money").text


def test_who_may_not_see_the_dags_of_a_project_sees_nothing_of_it(browser, told_story, monkeypatch):
    for module in ("overview_pages", "rights"):
        monkeypatch.setattr(f"windhover.ui.{module}.may_look", lambda *_: False)
    assert browser.get(PAGE).status_code == browser.get(f"{PAGE}/live").status_code == 403
    assert browser.get("/windhover/overview").status_code == 404


def test_looking_changes_nothing(operator, told_story):
    before = [one.model_dump() for one in list_incidents(told_story, "digits", 9)]
    operator.get(PAGE)
    operator.get(f"{PAGE}/live")
    assert [one.model_dump() for one in list_incidents(told_story, "digits", 9)] == before


def test_a_live_answer_is_small(browser, told_story):
    assert len(json.dumps(browser.get(f"{PAGE}/live").json())) < 150_000
