import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Timer

import pytest

from include.contracts import ReplicaReport
from include.ledger import Ledger
from include.ledger.host import list_samples
from include.ledger.incidents import list_incidents, open_incident
from include.ledger.leases import take_lease
from include.ledger.objectives import list_objectives
from include.ledger.plans import record_replica
from include.ledger.releases import record_release
from include.ledger.rollouts import start_rollout
from include.monitoring.notice_file import locate_file
from include.monitoring.watcher import LEASE_SECONDS, Watcher
from include.settings import REPOSITORY, Settings
from tests.include.monitoring.released import make_release

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def settings(tmp_path: Path, ledger_uri: str) -> Settings:
    """Locations of a stack of which only the ledger runs."""
    addresses = dict.fromkeys(("mlflow_uri", "serving_uri", "airflow_uri"), NOBODY)
    home = tmp_path / "home"
    home.mkdir()
    projects = home / "projects"
    projects.mkdir()
    (projects / "digits.yaml").write_text("name: digits\nclasses: [one, two]\n")
    urls = locate_file(tmp_path / "notices.ndjson")
    return Settings(home=home, projects=projects, ledger_uri=ledger_uri, notify_urls=urls, **addresses)


@pytest.fixture
def notices(tmp_path: Path):
    """Give a function that reads the titles of what was told."""

    def read() -> list[str]:
        path = tmp_path / "notices.ndjson"
        return [json.loads(line)["title"] for line in path.read_text().splitlines()] if path.exists() else []

    return read


def look_often(watcher: Watcher, times: int, since: datetime | None = None) -> datetime:
    now = since or datetime.now(UTC)
    for _ in range(times):
        watcher.look(now)
        now += timedelta(seconds=15)
    return now


def manual(ledger: Ledger) -> int:
    told = {"kind": "manual", "key": "m", "title": "odd answers", "impact": "high", "urgency": "high"}
    return open_incident(ledger, "digits", **told, runbook="docs/runbook.md#parts", who="anna")


def test_a_look_samples_measures_and_tells(settings, ledger, notices, tmp_path):
    manual(ledger)
    watcher = Watcher(settings, ledger, tmp_path / "beat")
    now = look_often(watcher, 2)
    assert len(list_samples(ledger, now - timedelta(hours=1))) >= 1
    assert {report.objective for report in list_objectives(ledger, "digits")} == {"availability", "latency"}
    assert notices() == ["[critical] digits: odd answers"]
    assert datetime.fromisoformat((tmp_path / "beat").read_text().strip()) == now - timedelta(seconds=15)


def test_dead_parts_become_incidents_once_they_had_their_time_to_start(settings, ledger):
    release = make_release("a")
    record_release(ledger, release)
    start_rollout(ledger, release, "run", "direct", {})
    watcher = Watcher(settings, ledger)
    now = look_often(watcher, 5)
    assert list_incidents(ledger, "platform", 10) == []
    look_often(watcher, 1, now + timedelta(minutes=5))
    found = {one.key: one for one in list_incidents(ledger, "platform", 10)}
    assert {"service/mlflow", "service/serving", "service/airflow api-server"} == set(found)
    assert found["service/serving"].severity == "critical"
    assert NOBODY in found["service/serving"].evidence["summary"]


def test_without_a_release_nobody_misses_the_endpoint(settings, ledger):
    watcher = Watcher(settings, ledger)
    look_often(watcher, 5, look_often(watcher, 1) + timedelta(minutes=5))
    assert "service/serving" not in {one.key for one in list_incidents(ledger, "platform", 10)}


def test_a_serving_process_that_falls_silent_is_an_incident_until_it_reports(settings, ledger):
    nothing = {"revisions": {}, "held": {}, "rejected": {}}
    told = {"name": "serving-1", "address": "unix:x", "started_at": datetime.now(UTC), "source": "ledger"}
    report = ReplicaReport.model_validate(told | nothing)
    record_replica(ledger, report)
    watcher = Watcher(settings, ledger)
    now = look_often(watcher, 2)
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE replicas SET seen_at = seen_at - interval '1 minute'")
    now = look_often(watcher, 3, now)
    (incident,) = list_incidents(ledger, "platform", 10)
    assert (incident.key, incident.state) == ("service/replica serving-1", "open")
    record_replica(ledger, report)
    look_often(watcher, 2, now)
    assert list_incidents(ledger, "platform", 10)[0].state == "resolved"


def test_of_two_watchers_one_acts_and_the_other_takes_over_from_a_dead_one(settings, ledger, notices):
    manual(ledger)
    take_lease(ledger, "watcher", "elsewhere", LEASE_SECONDS)
    watcher = Watcher(settings, ledger)
    assert not watcher.look(datetime.now(UTC))
    assert notices() == []
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE leases SET expires_at = now() - interval '1 second'")
    assert watcher.look(datetime.now(UTC))
    assert len(notices()) == 1


def test_a_restarted_watcher_goes_on_at_once(settings, ledger):
    assert Watcher(settings, ledger).look(datetime.now(UTC))
    assert Watcher(settings, ledger).look(datetime.now(UTC))


def test_the_loss_of_the_ledger_is_told_without_it(settings, ledger, notices, tmp_path, caplog, monkeypatch):
    watcher = Watcher(settings, Ledger("postgresql://nobody@127.0.0.1:9/none"), tmp_path / "beat")
    with caplog.at_level(logging.WARNING):
        now = look_often(watcher, 6)
    assert notices() == ["[critical] platform: the ledger does not answer"]
    assert caplog.text.count("the ledger is away") == 1
    assert (tmp_path / "beat").exists()
    monkeypatch.setattr(watcher, "_ledger", ledger)
    watcher.look(now)
    assert notices()[1] == "[resolved] platform: the ledger answers again"
    (incident,) = list_incidents(ledger, "platform", 10)
    assert (incident.key, incident.state) == ("service/ledger", "resolved")


def test_a_loss_of_the_ledger_lasted_as_long_as_it_did(settings, ledger, monkeypatch):
    watcher = Watcher(settings, Ledger("postgresql://nobody@127.0.0.1:9/none"))
    began = datetime.now(UTC) - timedelta(hours=1)
    look_often(watcher, 4, began)
    monkeypatch.setattr(watcher, "_ledger", ledger)
    watcher.look(datetime.now(UTC))
    (incident,) = list_incidents(ledger, "platform", 10)
    assert timedelta(minutes=59) < incident.resolved_at - incident.opened_at < timedelta(minutes=61)


def test_what_is_told_links_the_runbook_where_airflow_is_known(settings, ledger, tmp_path, monkeypatch):
    watcher = Watcher(settings.model_copy(update={"airflow_public": "https://airflow.example/"}), ledger)
    manual(ledger)
    look_often(watcher, 1)
    monkeypatch.setattr(watcher, "_ledger", Ledger("postgresql://nobody@127.0.0.1:9/none"))
    look_often(watcher, 6)
    lines = (tmp_path / "notices.ndjson").read_text().splitlines()
    links = [re.search(r"runbook: (\S+)", json.loads(line)["body"])[1] for line in lines]
    folder = "https://airflow.example/windhover/docs/runbook.md"
    assert links == [f"{folder}#parts", f"{folder}#postgresql-down"]


def test_a_duty_that_fails_keeps_the_watcher_from_no_other(settings, ledger, notices, caplog, monkeypatch):
    manual(ledger)
    watcher = Watcher(settings, ledger)
    monkeypatch.setattr("include.monitoring.duties.record_sample", lambda *_: 1 / 0)
    now = look_often(watcher, 3)
    assert notices() == ["[critical] digits: odd answers"]
    assert caplog.text.count("sample_host: ZeroDivisionError") == 1
    monkeypatch.undo()
    look_often(watcher, 1, now)
    assert list_samples(ledger, now - timedelta(hours=1))


def test_a_broken_project_file_is_left_out(settings, ledger):
    (settings.projects / "broken.yaml").write_text("name: broken\nclasses: 7\n")
    assert Watcher(settings, ledger).look(datetime.now(UTC))
    assert {report.project for report in list_objectives(ledger, "digits")} == {"digits"}


def test_it_ends_at_once_when_told_to(settings, ledger):
    stopping = Event()
    Timer(0.2, stopping.set).start()
    began = time.monotonic()
    Watcher(settings, ledger).watch(stopping)
    assert time.monotonic() - began < 10


def test_the_process_looks_and_ends_on_a_signal(settings, ledger, tmp_path):
    beat = tmp_path / "beat"
    locations = {"HOME": settings.home, "LEDGER_URI": settings.ledger_uri, "NOTIFY_URLS": settings.notify_urls}
    locations |= dict.fromkeys(("MLFLOW_URI", "SERVING_URI", "AIRFLOW_URI"), NOBODY)
    environment = os.environ | {f"WINDHOVER_{name}": str(value) for name, value in locations.items()}
    command = [sys.executable, "-m", "include.monitoring", "--beat", str(beat)]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not beat.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert beat.exists(), errors
    assert process.returncode == 0
    assert list_samples(ledger, datetime.now(UTC) - timedelta(hours=1))


def test_without_a_ledger_it_says_what_to_set():
    environment = {name: value for name, value in os.environ.items() if name != "WINDHOVER_LEDGER_URI"}
    command = [sys.executable, "-m", "include.monitoring"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "WINDHOVER_LEDGER_URI" in done.stderr
