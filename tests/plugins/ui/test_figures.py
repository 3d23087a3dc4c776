import json
from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import DriftReport
from tests.plugins.samples import DRIFT
from tests.plugins.ui.busy_project import LIMIT
from windhover.ui.figures import FIGURES, draw_drift, list_crownings, measure_evidence


def test_every_chart_is_plain_json_and_draws_the_story(told_view):
    figures = {name: draw(told_view) for name, draw in FIGURES.items()}
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert not any(figure["empty"] for figure in figures.values())
    measured = figures["accuracy"]["data"][-1]
    assert min(measured["y"]) == pytest.approx(0.78)
    assert measured["error_y"]["arrayminus"] == pytest.approx([0.06] * 8)
    assert sorted(set(figures["drift"]["data"][0]["marker"]["color"])) == ["var(--bad)", "var(--second)"]
    assert "&lt;b&gt;" in str(figures["drift"]["data"][0]["customdata"])
    assert [trace["name"] for trace in figures["quality"]["data"]] == ["accepted", "duplicates", "quarantined"]
    assert figures["host"]["data"][-1]["name"] == "disk, forecast"
    assert figures["host"]["data"][-1]["y"][1] <= 1


def test_releases_and_episodes_are_marked_over_one_span_of_time(told_view):
    layouts = [FIGURES[name](told_view)["layout"] for name in ("accuracy", "drift", "traffic")]
    assert len({str(layout["xaxis"]["range"]) for layout in layouts}) == 1
    assert [version for _, version in list_crownings(told_view)] == [1, 2]
    assert [note["text"] for note in layouts[0]["annotations"]] == ["v1", "v2"]
    [span] = [shape for shape in layouts[0]["shapes"] if shape["type"] == "rect"]
    assert span["x0"] <= span["x1"]


def test_what_is_over_before_the_first_day_shown_is_not_marked(told_view):
    told_view.since = datetime.now(UTC) + timedelta(minutes=1)
    told_view.now = told_view.since
    layout = draw_drift(told_view)["layout"]
    assert (layout["annotations"], [shape["type"] for shape in layout["shapes"]]) == ([], ["line"])


@pytest.mark.parametrize(
    ("verdict", "evidence", "limit", "far"),
    [
        ("stable", 0.0, LIMIT, 0.0),
        ("stable", 1.0, LIMIT, 0.0),
        ("stable", LIMIT**0.5, LIMIT, 0.5),
        ("drift", LIMIT, LIMIT, 1.0),
        ("drift", 1e12, LIMIT, 1.25),
        ("drift", 0.0, 0.0, 1.0),
        ("insufficient", 0.0, 0.0, 0.0),
    ],
)
def test_evidence_is_drawn_on_a_scale_of_logarithms(verdict, evidence, limit, far):
    report = DriftReport.model_validate(DRIFT.model_dump() | {"verdict": verdict, "evidence": evidence, "limit": limit})
    assert measure_evidence(report) == pytest.approx(far)
