import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.ledger import Ledger
from include.ledger.changes import PLATFORM
from include.ledger.host import list_samples
from include.ledger.incidents import find_incident, list_incidents, open_incident, resolve_incident
from include.ledger.objectives import Tally, find_first_minute, list_objectives, record_counts, record_objective
from include.ledger.releases import record_release
from include.ledger.rollouts import start_rollout
from include.ledger.tables import host_samples
from include.monitoring.duties import Duties
from include.monitoring.post_mortem import post_mortem_address
from include.predictions import append_rows
from include.settings import Settings
from tests.include.monitoring.released import make_release

NOW = datetime.now(UTC).replace(microsecond=0)
NOBODY = "http://127.0.0.1:9"
PROJECT = "name: digits\nclasses: [one, two]\nmonitoring: {escalation: {path: [on-call]}}\n"
TROUBLE = {
    "kind": "dead_service", "key": "service/mlflow", "title": "dead", "impact": "high", "urgency": "high",
    "runbook": "docs/runbook.md#dead-service",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path) -> Settings:
    """A machine with one project, all of whose promises are the defaults, and on which nothing runs."""
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "digits.yaml").write_text(PROJECT)
    addresses = dict.fromkeys(("mlflow_uri", "serving_uri", "airflow_uri"), NOBODY)
    return Settings(home=tmp_path, projects=tmp_path / "projects", **addresses)


@pytest.fixture
def duties(settings, ledger) -> Duties:
    return Duties(settings, ledger)


def log(settings: Settings, at: datetime, answered_by: list[str]) -> None:
    rows = [
        {"request_id": uuid.uuid4().hex, "time": at, "project": "digits", "answered_by": who, "latency_ms": 5.0}
        | {"failed": None if who == "champion" else "champion: broken"}
        for who in answered_by
    ]
    append_rows(settings.open_store(), "predictions", f"{at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex}", rows)


def fill(ledger: Ledger, disks: list[float]) -> None:
    """Keep a sample every ten minutes, the last one now."""
    rest = {"cpu": 0, "memory": 0.5, "sent": 0, "received": 0}
    ages = [timedelta(minutes=10) * place for place in range(len(disks) - 1, -1, -1)]
    rows = [rest | {"at": NOW - age, "disk": disk} for age, disk in zip(ages, disks, strict=True)]
    with ledger.begin() as connection:
        connection.execute(sa.insert(host_samples), rows)


def test_the_log_becomes_reports_and_a_bad_hour_an_incident(settings, ledger, duties):
    log(settings, NOW - timedelta(hours=23), ["champion"] * 900)
    log(settings, NOW - timedelta(minutes=2), ["abstain"] * 50)
    duties.read_projects(NOW)
    duties.measure_objectives(NOW)
    reports = {one.objective: one for one in list_objectives(ledger, "digits")}
    assert (reports["availability"].good, reports["availability"].events) == (900, 950)
    assert reports["availability"].verdict == "burning"
    assert reports["latency"].verdict == "met"
    assert [one.key for one in list_incidents(ledger, "digits", 10)] == ["slo/availability"]


def test_what_is_promised_no_longer_is_forgotten(ledger, duties):
    duties.read_projects(NOW)
    duties.measure_objectives(NOW)
    stale = list_objectives(ledger, "digits")[0].model_copy(update={"objective": "freshness"})
    record_objective(ledger, stale)
    duties.measure_objectives(NOW)
    assert {one.objective for one in list_objectives(ledger, "digits")} == {"availability", "latency"}


def test_a_disk_that_fills_up_is_an_incident_until_there_is_room(ledger, duties):
    fill(ledger, [0.3 + 0.004 * place for place in range(144)])
    for look in range(3):
        duties.forecast_host(NOW + timedelta(minutes=look))
    (incident,) = list_incidents(ledger, PLATFORM, 10)
    assert (incident.kind, incident.key) == ("resource", "host/disk")
    assert "disk" in incident.title
    with ledger.begin() as connection:
        connection.exec_driver_sql("DELETE FROM host_samples")
    fill(ledger, [0.3] * 144)
    for look in range(2):
        duties.forecast_host(NOW + timedelta(minutes=10 + look))
    assert list_incidents(ledger, PLATFORM, 10)[0].state == "resolved"


def test_a_probe_counts_once_a_project_is_in_service(ledger, duties):
    duties.ask(NOW)
    assert find_first_minute(ledger, "digits", "availability") is None
    release = make_release("a")
    record_release(ledger, release)
    start_rollout(ledger, release, "run", "direct", {})
    duties.ask(NOW)
    assert find_first_minute(ledger, "digits", "availability") is None
    duties.ask(NOW + timedelta(minutes=6))
    assert find_first_minute(ledger, "digits", "availability") is not None


def test_old_measurements_are_forgotten(ledger, duties):
    record_counts(ledger, "digits", "latency", "log", {NOW - timedelta(days=100): Tally(1, 1)})
    fill(ledger, [0.5])
    duties.prune(NOW + timedelta(days=9))
    assert find_first_minute(ledger, "digits", "latency") is None
    assert list_samples(ledger, NOW - timedelta(hours=1)) == []


def test_what_nobody_takes_on_goes_along_the_path_of_the_platform_too(ledger, duties):
    duties.read_projects(NOW)
    numbers = [open_incident(ledger, name, **TROUBLE) for name in (PLATFORM, "digits")]
    duties.escalate(datetime.now(UTC) + timedelta(minutes=16))
    assert [find_incident(ledger, number).owner for number in numbers] == ["on-call", "on-call"]


def test_of_what_has_ended_a_post_mortem_is_drafted(settings, ledger, duties):
    duties.read_projects(NOW)
    number = open_incident(ledger, "digits", **TROUBLE)
    resolve_incident(ledger, number, who="ada", why="it was the lamp")
    duties.draft_post_mortems(datetime.now(UTC))
    assert settings.open_store().exists(post_mortem_address(find_incident(ledger, number)))
