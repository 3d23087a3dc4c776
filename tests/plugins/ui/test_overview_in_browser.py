"""The overview in a real Chromium, within a frame like Airflow's, wide and narrow."""

import shutil
import threading

import pytest
import uvicorn
from fastapi.responses import HTMLResponse
from playwright.sync_api import sync_playwright

from tests.conftest import find_free_port
from tests.plugins.ui.conftest import sign_in
from tests.plugins.ui.played_airflow import make_question

pytestmark = pytest.mark.browser
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# As Airflow 3.3 frames a page of a plugin.
FRAME = """<!doctype html><body style="margin:0"><iframe title="Windhover" src="/windhover/overview"
sandbox="allow-scripts allow-same-origin allow-forms allow-downloads" style="border:0;width:100%;height:100vh"></iframe>"""


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

    def open_as(role="user", width=1280, path="/windhover/overview/digits", **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        context.add_cookies([{"name": "_token", "value": sign_in(role), "url": address}])
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith((address, "data:")) else None)
        tab.goto(address + path)
        return tab

    yield open_as
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_it_is_drawn_whole_at_every_width(open_tab, tmp_path, width, scheme):
    tab = open_tab(width=width, color_scheme=scheme)
    tab.locator("#figure-network .plot-container").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
