"""The overview in a real Chromium, within a frame like Airflow's, wide and narrow."""

import re
import shutil
import threading

import pytest
import uvicorn
from fastapi.responses import HTMLResponse
from playwright.sync_api import sync_playwright

from include.ledger.episodes import close_episodes
from include.ledger.incidents import find_incident, open_incident
from tests.conftest import find_free_port
from tests.plugins.ui.conftest import sign_in
from tests.plugins.ui.played_airflow import make_question

pytestmark = pytest.mark.browser
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# As Airflow 3.3 frames a page of a plugin.
FRAME = """<!doctype html><title>Airflow</title><iframe src="/windhover/overview" style="width: 100%; height: 90vh"
sandbox="allow-scripts allow-same-origin allow-forms allow-downloads"></iframe>"""


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on PATH; install Debian's package chromium to look at the pages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def address(server, story, airflow):
    airflow.questions = [make_question()]
    airflow.runs = {f"digits.{dag}": "success" for dag in ("ingest_images", "train_model", "promote_model")}
    airflow.runs |= {"digits.deploy_model": "running", "digits.monitor_model": "failed"}
    server.get("/plugin/windhover")(lambda: HTMLResponse(FRAME))
    server.get("/dags/{path:path}")(lambda path: HTMLResponse(f"<h1>DAG {path}</h1>"))
    port = find_free_port()
    running = uvicorn.Server(uvicorn.Config(server, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started and thread.is_alive():
        thread.join(0.05)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(10)


@pytest.fixture
def open_tab(chromium, address):
    """Open the overview; the browser may complain of nothing, and nothing may come from elsewhere."""
    contexts, complaints = [], []

    def hear(said):
        # What the tests bring about themselves: a report that is not there, a network that is cut.
        if said.type == "error" and not re.search("40[14]", said.text) and "ERR_INTERNET_DISCONNECTED" not in said.text:
            complaints.append(said.text)

    def open_as(role="user", width=1280, path="/windhover/overview/digits", **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        context.add_cookies([{"name": "_token", "value": sign_in(role), "url": address}])
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", hear)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on(
            "request",
            lambda asked: complaints.append(asked.url) if not asked.url.startswith((address, "data:")) else None,
        )
        tab.goto(address + path)
        return tab

    yield open_as
    for context in contexts:
        context.close()
    assert complaints == []


def test_it_is_drawn_whole_wide_and_narrow_light_and_dark(open_tab, tmp_path):
    for width, scheme in ((1280, "light"), (390, "dark")):
        tab = open_tab(width=width, color_scheme=scheme)
        tab.locator("#figure-network .plot-container").wait_for()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
        tab.screenshot(path=tmp_path / f"{width}.png", full_page=True)


def renew(tab):
    """Have the page look again, as it does by itself every ten seconds."""
    with tab.expect_response(lambda answer: "/live" in answer.url):
        tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_it_shows_what_happens_while_one_looks_and_lets_one_act(open_tab, story):
    tab = open_tab()
    tab.locator("#figure-network .plot-container").wait_for()
    tab.locator("#resolve-1 summary").click()
    tab.locator("#resolve-1 input[name=reason]").fill("the lens was wiped")
    close_episodes(story, "digits")
    number = open_incident(
        story, "digits", kind="manual", key="new", title="smoke in the hall", impact="high", urgency="high",
        runbook="docs/incidents.md",
    )  # fmt: skip
    renew(tab)
    tab.get_by_text("Critical incident: smoke in the hall, and 1 more.").wait_for()
    assert tab.locator("#episodes .chip").inner_text() == "closed"
    # What is being typed stays, and so does the panel around it.
    assert tab.locator("#resolve-1 input[name=reason]").input_value() == "the lens was wiped"
    assert tab.locator("article.incident", has_text="smoke in the hall").count() == 0
    tab.locator("#resolve-1 button").click()
    tab.get_by_role("status").get_by_text("The incident is resolved.").wait_for()
    tab.locator("article.incident", has_text="smoke in the hall").get_by_role("button", name="Acknowledge").click()
    tab.get_by_text("You are on it; it no longer escalates.").wait_for()
    assert find_incident(story, number).acknowledged_by == "user"
    tab.get_by_role("button", name="Pause").click()
    assert tab.locator("#clock").inner_text() == "paused"


def test_what_is_to_be_done_is_added_and_finished(open_tab, story):
    tab = open_tab(width=390)
    tab.locator("#to-do summary").click()
    tab.locator("#to-do select").select_option(label="#3 serving-2 does not report")
    tab.get_by_label("What is to be done").fill("an alarm after one minute")
    tab.get_by_label("Who does it").fill("bea")
    tab.get_by_label("Until, if there is a date").fill("2026-01-31")
    tab.locator("#to-do button").click()
    tab.get_by_role("status").get_by_text("It is noted as something to do.").wait_for()
    item = tab.locator(".to-do li", has_text="an alarm after one minute")
    assert "bea, due 2026-01-31, after #3 overdue" in " ".join(item.inner_text().split())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    item.get_by_role("button", name="Done").click()
    tab.get_by_role("status").get_by_text("It is done").wait_for()
    assert tab.locator(".to-do").count() == 0
    assert find_incident(story, 3).actions[0].done_at


def test_images_are_labelled_beside_their_pictures_and_what_is_filled_in_stays(open_tab, airflow, machine_store):
    sheet = "digits/reports/relabelling/4-ab/index.html"
    machine_store.write(sheet, b"<h1>2 images to label</h1>")
    schema = {"type": ["null", "string"], "enum": [None, "0", "1"], "title": "Image 1"}
    params = {"request-1": {"value": None, "description": None, "schema": schema}}
    airflow.questions = [make_question(body=f"[The images](/windhover/reports/{sheet})", params=params)]
    tab = open_tab()
    tab.frame_locator("iframe.sheet").get_by_role("heading", name="2 images to label").wait_for()
    tab.get_by_label("Image 1").select_option("1")
    tab.get_by_role("button", name="Pause").focus()
    airflow.questions = [*airflow.questions, make_question()]
    renew(tab)
    assert tab.get_by_label("Image 1").input_value() == "1"
    tab.get_by_role("button", name="Approve").click()
    tab.get_by_text("Your answer is with the task.").wait_for()
    assert airflow.deeds[0][3]["params_input"] == {"request-1": "1"}


def test_within_the_frame_of_airflow_links_lead_out_and_light_and_dark_follow_it(open_tab):
    tab = open_tab(path="/plugin/windhover", color_scheme="light")
    frame = tab.frame_locator("iframe")
    frame.locator("#figure-drift .plot-container").wait_for()
    tab.evaluate("localStorage.setItem('theme', 'dark')")
    frame.locator("html[data-theme=dark]").wait_for()
    with tab.context.expect_page() as beside:
        frame.get_by_role("link", name="Drift report").first.click()
    assert beside.value.url.endswith("/windhover/reports/digits/reports/drift/1/index.html")
    frame.get_by_role("link", name="30 days").click()
    frame.locator("a[aria-current=true]", has_text="30 days").wait_for()
    frame.locator(".loop a").first.click()
    tab.get_by_role("heading", name="DAG digits.ingest_images/runs/").wait_for()


def test_every_deed_can_be_done_from_the_keyboard(open_tab, airflow):
    tab = open_tab(width=390)
    tab.locator("#figure-network .plot-container").wait_for()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    reached, ringed = set(), set()
    for _ in range(120):
        tab.keyboard.press("Tab")
        name, ring = tab.evaluate(
            "[document.activeElement.innerText.trim(), getComputedStyle(document.activeElement).outlineWidth]"
        )
        reached.add(name)
        ringed |= {name} if ring != "0px" else set()
    assert {
        "Approve",
        "Acknowledge",
        "Open an incident",
        "Roll back or forward",
        "Retire a version",
        "Pause",
    } <= reached
    assert reached - ringed <= {""}
    tab.locator("#switch summary").focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.type("calls 3 an 8")
    tab.keyboard.press("Enter")
    tab.get_by_text("The switch begins").wait_for()
    assert airflow.deeds[0][3]["conf"] == {"to": "previous", "reason": "calls 3 an 8"}


def test_a_session_that_ended_and_a_server_that_is_away_are_said(open_tab):
    tab = open_tab(role="viewer")
    tab.locator("#figure-network .plot-container").wait_for()
    assert tab.locator("main button").count() == 0
    tab.context.set_offline(True)
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.get_by_text("not up to date: the server does not answer").wait_for()
    tab.context.set_offline(False)
    tab.context.clear_cookies()
    renew(tab)
    tab.get_by_text("signed out; open Airflow anew").wait_for()
