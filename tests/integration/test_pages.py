"""Every page people are sent to, opened in a real Chromium after the story."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from examples.camera import CLEAN_LENS, LIVE_SPECIMENS, photograph

pytestmark = [pytest.mark.integration, pytest.mark.browser]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DAGS = ("ingest_images", "train_model", "promote_model", "deploy_model", "monitor_model")


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on PATH; install Debian's package chromium to look at the pages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(browser, stack, played):
    """A signed-in page, through the login form people use."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(stack.airflow_url)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(stack.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Welcome").wait_for()
    return page


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


@pytest.mark.parametrize(
    ("dag", "task", "link", "says"),
    [
        pytest.param("ingest_images", "validate_images", "Data Docs", "expectation", id="data-docs"),
        pytest.param("ingest_images", "validate_images", "Quarantine", "Quarantine of digits", id="quarantine"),
        pytest.param("promote_model", "register_model", "Model card", "digits", id="model-card"),
        pytest.param("monitor_model", "wait_for_drift", "Drift report", "Drift", id="drift-report"),
        pytest.param("train_model", "train_candidate", "MLflow run", "Overview", id="mlflow-run"),
        pytest.param("deploy_model", "complete_rollout", "Endpoint", "/v1/predict", id="endpoint"),
    ],
)
def test_evidence_opens(look, airflow, dag, task, link, says):
    run = newest(airflow, dag, task)
    assert says.lower() in look(airflow.link(f"digits.{dag}", run, task, link), says).lower()


def test_the_endpoint_page_answers_an_image(look, page, stack, tmp_path):
    look(stack.serving_url, "Try it")
    image = tmp_path / "digit.png"
    image.write_bytes(photograph(LIVE_SPECIMENS[0], CLEAN_LENS, 0))
    page.locator("input[type=file]").set_input_files(image)
    page.get_by_role("button", name="Classify").click()
    page.get_by_text('"predicted"').wait_for()


def test_the_form_of_a_training_explains_its_fields(look, page, stack):
    look(f"{stack.airflow_url}/dags/digits.train_model", "digits.train_model")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_text("Learning rate").first.wait_for()
    assert "Peak step size of the optimiser" in page.inner_text("body")


def test_the_closing_page_shows_the_three_accuracies(look, stack):
    pages = sorted(Path(stack.home, "reports").glob("play_*.html"))
    text = look(pages[-1].as_uri(), "The loop turned")
    assert all(name in text for name in ("before", "during", "after"))
