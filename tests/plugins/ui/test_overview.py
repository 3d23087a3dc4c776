import pytest

from include.ledger.changes import PLATFORM
from include.ledger.incidents import open_incident, resolve_incident
from tests.include.certified import certify, crown
from tests.plugins.ui.busy_project import HOURS, raise_troubles
from windhover.ui.overview import SHOWN, Overview


def test_a_project_is_read_whole(told_view):
    assert told_view.champion
    assert (told_view.champion.version.version, told_view.answered) == (2, [1])
    assert (told_view.episode.diagnosis.name, told_view.episode.windows) == ("camera: blurred lens", 2)
    assert [(one.severity, one.state) for one in told_view.troubles] == [("major", "open"), ("info", "acknowledged")]
    assert [one.key for one in told_view.settled] == ["serving-2"]
    assert (told_view.response.opened, told_view.response.resolved) == (3, 1)
    assert (told_view.data.versions, len(told_view.objectives), len(told_view.samples) > 100) == (3, 3, True)
    assert {one.resource: one.days is not None for one in told_view.forecasts} == {"memory": False, "disk": True}


def test_a_window_is_joined_with_what_was_found_out_about_it(told_view):
    windows = told_view.windows
    assert len(windows) == min(SHOWN, HOURS)
    assert windows[0].profile.end > windows[-1].profile.end
    for one in windows:
        assert one.drift.start == one.performance.start == one.profile.start
        assert (one.drift.verdict == "drift") == (one.performance.verdict == "degraded")


def test_trouble_of_the_platform_concerns_every_project(machine, project, store, ledger):
    raise_troubles(ledger)
    number = open_incident(
        ledger, PLATFORM, kind="dead_service", key="mlflow", title="MLflow is away", impact="high", urgency="high",
        runbook="docs/runbook.md#dead-service",
    )  # fmt: skip
    assert [one.id for one in Overview(project, store, ledger, days=7).troubles] == [number, 1, 2]
    resolve_incident(ledger, number, who="ada", why="started again")
    after = Overview(project, store, ledger, days=7)
    assert [one.id for one in after.troubles] == [1, 2]
    assert after.settled[0].id == number


def test_each_part_is_read_once(told_view, monkeypatch):
    before = told_view.entries
    monkeypatch.setattr("include.ledger.chronicle.list_entries", lambda *_: pytest.fail("read again"))
    assert told_view.entries is before


def test_a_champion_older_than_the_versions_shown_is_found(machine, project, store, ledger):
    for number in range(1, SHOWN + 3):
        certify(number, store, ledger)
    crown(1, ledger)
    view = Overview(project, store, ledger, days=1)
    assert 1 not in [one.version.version for one in view.versions]
    assert view.champion.version.version == 1


def test_nothing_is_nothing(machine, project, store, ledger):
    view = Overview(project, store, ledger, days=1)
    assert (view.champion, view.answered, view.episode, view.windows, view.forecasts) == (None, [], None, [], [])
    assert (view.service.now, view.troubles, view.settled, view.data.latest) == (None, [], [], None)
