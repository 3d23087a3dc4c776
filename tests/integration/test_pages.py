"""Every page people are sent to, opened in a real Chromium after the story."""

import re
from pathlib import Path

import pytest

from examples.camera import CLEAN_LENS, LIVE_SPECIMENS, photograph
from include.ledger.datasets import find_latest_dataset, list_partitions, list_versions
from include.ledger.models import find_alias
from include.ledger.plans import find_plan
from include.vision.images import read_rows

pytestmark = [pytest.mark.integration, pytest.mark.browser]

DAGS = ("ingest_images", "train_model", "promote_model", "deploy_model", "switch_release", "monitor_model")


@pytest.fixture
def page(signed_in, played):
    return signed_in


@pytest.fixture
def look(page, tmp_path):
    """Open an address, wait for a text, take a picture of it, and return what the page says."""
    broken = []
    page.on("pageerror", lambda error: broken.append(str(error)))

    def open_and_wait(address, text):
        page.goto(address)
        page.get_by_text(text, exact=False).first.wait_for()
        picture = tmp_path / "page.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 5_000, "the page is blank"
        assert broken == []
        return page.inner_text("body")

    return open_and_wait


@pytest.fixture
def browse(page, stack, tmp_path):
    """Open one of our pages from Airflow's navigation; the browser may complain of nothing."""
    complaints, tabs = [], []

    def hear(message):
        if message.type == "error":
            complaints.append(message.text)

    def open_tab(name):
        page.goto(stack.airflow_url)
        page.get_by_role("button", name="Browse").click()
        with page.expect_popup() as opened:
            page.get_by_role("menuitem", name=name, exact=True).click()
        tabs.append(opened.value)
        opened.value.on("console", hear)
        opened.value.get_by_text("Handwritten digits").first.wait_for()
        return opened.value

    yield open_tab
    for tab in tabs:
        tab.screenshot(path=tmp_path / "page.png", full_page=True)
        tab.close()
    assert complaints == []


@pytest.fixture
def datasets(browse):
    return browse("Datasets")


def follow(tab, link, heading):
    """Click a link, and return what the page says that it leads to."""
    tab.get_by_role("link", name=link, exact=True).first.click()
    tab.get_by_role("heading", name=heading).first.wait_for()
    return tab.locator("body").inner_text()


def newest(airflow, dag, task, wanted="success"):
    """Return the newest run of a DAG in which a task ended as wanted."""
    runs = [run["dag_run_id"] for run in airflow._runs(f"digits.{dag}")]
    return next(run for run in reversed(runs) if airflow.task_states(f"digits.{dag}", run).get(task) == wanted)


@pytest.mark.parametrize("dag", DAGS)
def test_every_dag_has_a_page(look, stack, dag):
    assert f"digits.{dag}" in look(f"{stack.airflow_url}/dags/digits.{dag}", f"digits.{dag}")


def test_a_task_shows_the_buttons_that_lead_to_its_evidence(look, stack, airflow):
    run = newest(airflow, "ingest_images", "validate_images")
    text = look(f"{stack.airflow_url}/dags/digits.ingest_images/runs/{run}/tasks/validate_images/details", "Data Docs")
    assert "Quarantine" in text


def number(value):
    """Write a count as the pages do, with thin spaces."""
    return f"{value:,}".replace(",", "\u2009")


@pytest.mark.parametrize(
    ("dag", "task", "link", "says"),
    [
        pytest.param("ingest_images", "describe_dataset", "Datasheet", "Known issues", id="datasheet"),
        pytest.param("ingest_images", "describe_dataset", "EDA", "Near-duplicates", id="eda"),
        pytest.param("ingest_images", "validate_images", "Data Docs", "expectation", id="data-docs"),
        pytest.param("ingest_images", "validate_images", "Quarantine", "Quarantine of digits", id="quarantine"),
        pytest.param(
            "promote_model", "evaluate_candidate", "Evaluation", "Can its confidence be believed?", id="evaluation"
        ),
        pytest.param("promote_model", "explain_candidate", "Explanations", "Its worst errors", id="explanations"),
        pytest.param("promote_model", "register_model", "Model card", "digits", id="model-card"),
        pytest.param("monitor_model", "wait_for_drift", "Drift report", "Drift", id="drift-report"),
        pytest.param("train_model", "train_candidate", "MLflow run", "Overview", id="mlflow-run"),
        pytest.param("deploy_model", "judge_rollout", "Rollouts", "Who answered when", id="rollouts"),
        pytest.param("deploy_model", "write_release_notes", "Release notes", "How it went", id="release-notes"),
    ],
)
def test_evidence_opens(look, airflow, dag, task, link, says):
    run = newest(airflow, dag, task)
    assert says.lower() in look(airflow.link(f"digits.{dag}", run, task, link), says).lower()


def test_a_dataset_shows_its_versions_and_the_quality_of_its_days(datasets, ledger):
    latest, reports = find_latest_dataset(ledger, "digits"), list_partitions(ledger, "digits")
    assert re.search(rf"\b{number(latest.images)}\s+images", datasets.locator("body").inner_text())
    text = follow(datasets, "Handwritten digits", "Quality of the partitions")
    assert f"images in version {latest.version}" in text
    assert all(f"{one.partition}\tpassed\t{one.seen}\t{one.accepted}" in text for one in reports.values())
    assert "truncated" in text
    assert "unknown_class" in text


def test_two_versions_can_be_compared(datasets, ledger):
    (after, _), (before, _) = list_versions(ledger, "digits")[:2]
    follow(datasets, "Handwritten digits", "Versions")
    datasets.get_by_role("button", name="Compare").click()
    datasets.get_by_role("heading", name=f"version {before.version} to {after.version}").wait_for()
    text = datasets.locator("body").inner_text()
    assert re.search(rf"\b{after.labelled - before.labelled}\s+relabelled", text)
    assert re.search(r"no label → \d", text)
    assert datasets.locator("img").count() == 24


def test_lineage_leads_from_a_file_to_the_answers_it_shaped(datasets, ledger, store):
    rows = read_rows(find_latest_dataset(ledger, "digits"), store, ["source", "digest"]).slice(0, 1).to_pylist()
    follow(datasets, "Handwritten digits", "Lineage")
    datasets.locator("input[name=source]").fill(rows[0]["source"])
    datasets.get_by_role("button", name="Trace").first.click()
    datasets.get_by_text("became 1 image").wait_for()
    text = datasets.locator("body").inner_text()
    assert rows[0]["digest"] in text
    assert "model version 1" in text
    assert int(text.split("Answers they gave")[1].split("Trace")[0].replace("\u2009", "")) > 900


def test_a_quarantine_says_what_is_wrong_and_leads_to_the_data_docs(datasets, ledger):
    day = next(one.partition for one in list_partitions(ledger, "digits").values() if "truncated" in one.reasons)
    follow(datasets, "Handwritten digits", "Quality of the partitions")
    datasets.locator("tr", has_text=day).get_by_role("link", name="1", exact=True).click()
    datasets.get_by_role("heading", name=f"Quarantine of digits, {day}").wait_for()
    assert "broken-0000.png" in datasets.locator("body").inner_text()
    assert "truncated" in follow(datasets, "Data Docs", f"digits {day}")


def test_a_datasheet_leads_to_a_look_at_the_data_and_back(datasets, ledger):
    latest = find_latest_dataset(ledger, "digits")
    title = f"Handwritten digits, dataset version {latest.version}"
    assert number(latest.images) in follow(datasets, "datasheet", title)
    assert "Labels that may be wrong" in follow(datasets, "A look at the data", "Samples of every class")
    follow(datasets, "Datasheet", "Motivation")


def test_the_models_page_leads_to_the_champion_and_to_its_evidence(browse, ledger):
    champion, models = find_alias(ledger, "digits", "champion"), browse("Models")
    assert "not verified" not in models.locator("body").inner_text()
    text = follow(models, f"{champion}", f"version {champion}")
    assert text.count("verified") == 2
    assert "champion" in text
    assert "digits" in follow(models, "Model card", "Handwritten digits")


def test_the_rollouts_page_says_who_answers_and_how_it_came_to_that(browse, ledger):
    rollouts, plan = browse("Rollouts"), find_plan(ledger, "digits")
    text = follow(rollouts, "Handwritten digits", "Rollouts so far")
    assert f"version {plan.champion.model.version}" in text
    assert all(f"serving-{number}\trevision {plan.revision}" in text for number in (1, 2))
    assert "No serving process reports" not in text
    assert "50% of requests to version 2" in text


def test_the_audit_page_says_who_made_the_champion(browse, ledger):
    audit = browse("Audit")
    text = follow(audit, "Handwritten digits", "Who was champion?")
    assert re.search(r"verified\s+\d+ entries", text)
    assert f"Champion was version {find_alias(ledger, 'digits', 'champion')}" in text
    audit.locator("input[name=at]").fill("2020-01-01T00:00")
    audit.get_by_role("button", name="Look").click()
    audit.get_by_text("There was no champion.").wait_for()


def test_the_endpoint_page_asks_for_the_token_and_answers_an_image(browser, stack, tmp_path):
    token = (stack.home / "secrets" / "serving_token").read_text()
    page = browser.new_page(http_credentials={"username": "anybody", "password": token})
    page.goto(stack.serving_url)
    image = tmp_path / "digit.png"
    image.write_bytes(photograph(LIVE_SPECIMENS[0], CLEAN_LENS, 0))
    page.locator("input[type=file]").set_input_files(image)
    page.get_by_role("button", name="Classify").click()
    page.get_by_text('"predicted"').wait_for()
    page.close()


def test_the_form_of_a_training_explains_its_fields(look, page, stack):
    look(f"{stack.airflow_url}/dags/digits.train_model", "digits.train_model")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_text("Learning rate").first.wait_for()
    assert "Peak step size of the optimiser" in page.inner_text("body")


def test_the_closing_page_shows_the_three_accuracies(look, stack):
    pages = sorted(Path(stack.home, "reports").glob("play_*.html"))
    text = look(pages[-1].as_uri(), "The loop turned")
    assert all(name in text for name in ("before", "during", "after"))
