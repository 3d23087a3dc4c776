"""The page that shows it all, within Airflow's own frame, after the story."""

import re

import pytest

from include.ledger.audit import verify_chain
from include.ledger.episodes import list_episodes
from include.ledger.incidents import list_incidents
from include.ledger.models import find_alias
from include.ledger.plans import find_plan

pytestmark = [pytest.mark.integration, pytest.mark.browser]


@pytest.fixture
def overview(signed_in, played, stack, tmp_path):
    """The frame of the page, opened from Airflow's navigation; no script of it may fail."""
    broken = []
    signed_in.on("pageerror", lambda error: broken.append(str(error)))
    signed_in.goto(stack.airflow_url)
    signed_in.get_by_role("link", name="Windhover").click()
    frame = signed_in.frame_locator("iframe")
    frame.locator("#figure-network .plot-container, #figure-network[hidden]").wait_for(state="attached")
    yield frame
    signed_in.screenshot(path=tmp_path / "page.png", full_page=True)
    assert broken == []


def test_it_tells_who_answers_how_well_and_what_differed(overview, ledger):
    text, plan = overview.locator("main").inner_text(), find_plan(ledger, "digits")
    version = plan.champion.model.version
    assert f"Version {version} answers every request." in text
    assert re.search(rf"version {find_alias(ledger, 'digits', 'champion')}\s+\d+\.\d % when certified", text)
    assert "No serving process reports" not in text
    # Whether the story's last labels came within a window that has ended is a matter of moments.
    told = rf"\d+\.\d % right among \d+ labelled answers|How often version {version} is right, no label has told yet"
    assert re.search(told, text)
    assert list_episodes(ledger, "digits")[0].diagnosis.name in overview.locator("#episodes").inner_text()
    for chart in ("accuracy", "drift", "traffic", "quality", "host"):
        assert overview.locator(f"#figure-{chart} .plot-container").count() == 1


def test_an_incident_is_opened_taken_on_and_resolved_by_hand(overview, ledger, store):
    overview.locator("#open summary").click()
    overview.get_by_label("What is wrong").fill("smoke in the hall")
    overview.locator("#open button").click()
    overview.get_by_role("status").get_by_text("The incident is open.").wait_for()
    article = overview.locator("article.incident", has_text="smoke in the hall")
    article.get_by_role("button", name="Acknowledge").click()
    overview.get_by_role("status").get_by_text("You are on it").wait_for()
    article.locator("details.deed summary").click()
    article.get_by_label("Reason").fill("it was steam")
    article.locator("details.deed button").click()
    overview.get_by_role("status").get_by_text("The incident is resolved.").wait_for()
    done = list_incidents(ledger, "digits", 1)[0]
    assert (done.title, done.acknowledged_by, done.resolved_by) == ("smoke in the hall", "admin", "admin")
    chain, _ = verify_chain(ledger, "digits", store)
    assert [entry.who for entry in chain if entry.kind == "incident"][-3:] == ["admin"] * 3


def test_the_loop_leads_out_of_the_frame_to_the_newest_run(overview, signed_in):
    overview.locator(".loop a").last.click()
    signed_in.wait_for_url(re.compile(r"/dags/digits\.monitor_model/runs/"))
