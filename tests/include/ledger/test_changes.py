"""What changed before an incident is found, ranked by how much it is suspected, and told in words."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.ledger.changes import HOURS, PLATFORM, SHOWN, list_changes, record_sighting
from include.ledger.database import Ledger
from include.ledger.incidents import find_incident, open_incident
from include.ledger.tables import alias_moves, dataset_versions, release_plans, replicas, sightings

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ago(**time) -> datetime:
    return NOW - timedelta(**time)


@pytest.fixture
def publish(ledger):
    """Write that a dataset version, an alias or a plan came to be at a moment."""

    def write(table: sa.Table, at: datetime, project="digits", **values):
        filled = {
            "dataset_versions": {"version": 1, "digest": "d", "dataset": {}},
            "alias_moves": {"alias": "champion", "sequence": 1, "version": 2, "reason": "it proved itself"},
            "release_plans": {"revision": 3, "plan": None, "why": "rollout 4 begins"},
        }[table.name]
        with ledger.begin() as connection:
            row = {"project": project, "recorded_at": at, **filled, **values}
            connection.execute(sa.insert(table).values(row))

    return write


def read(ledger: Ledger, kind="rollback", project="digits") -> list[str]:
    with ledger.begin() as connection:
        return [change.describe(NOW) for change in list_changes(connection, project, NOW, kind)]


def test_nothing_has_changed(ledger):
    assert read(ledger) == []


def test_of_changes_at_one_time_the_kind_of_trouble_ranks(ledger, publish):
    for table in (dataset_versions, alias_moves, release_plans):
        publish(table, ago(minutes=30))
    told = {
        "data": "data, 30 min before: dataset version 1 was published",
        "model": "model, 30 min before: version 2 became champion: it proved itself",
        "release": "release, 30 min before: plan 3: rollout 4 begins",
    }
    assert read(ledger, "rollback") == [told["release"], told["model"], told["data"]]
    assert read(ledger, "drift") == [told["model"], told["release"], told["data"]]
    assert read(ledger, "failed_task") == [told["data"], told["model"], told["release"]]


def test_of_changes_of_one_kind_the_latest_ranks_first(ledger, publish):
    for hours in (1, 20, 5):
        publish(dataset_versions, ago(hours=hours), version=hours)
    assert [line.split()[1] for line in read(ledger)] == ["60", "5", "20"]


def test_what_is_long_ago_later_or_elsewhere_is_no_suspect(ledger, publish):
    publish(dataset_versions, ago(hours=HOURS + 1), version=1)
    publish(dataset_versions, NOW + timedelta(minutes=1), version=2)
    publish(dataset_versions, ago(hours=1), project="shapes", version=3)
    assert read(ledger) == []


def test_only_the_most_suspected_are_told(ledger, publish):
    for number in range(3 * SHOWN):
        publish(release_plans, ago(minutes=number + 1), revision=number)
    assert len(read(ledger)) == SHOWN
    assert "plan 0" in read(ledger)[0]


def test_a_serving_process_that_was_started_is_a_suspect(ledger):
    with ledger.begin() as connection:
        for name, at in (("old", ago(days=3)), ("new", ago(minutes=5))):
            report = {"started_at": at.isoformat().replace("+00:00", "Z")}
            connection.execute(sa.insert(replicas).values(name=name, report=report, seen_at=NOW))
    assert read(ledger, "dead_service") == ["infrastructure, 5 min before: serving process new was started"]


def see(ledger, project, what, value, at):
    assert record_sighting(ledger, project, what, value)
    with ledger.begin() as connection:
        newest = sa.select(sa.func.max(sightings.c.id)).scalar_subquery()
        connection.execute(sa.update(sightings).where(sightings.c.id == newest).values(seen_at=at))


def test_a_changed_project_file_is_told_key_by_key(ledger):
    before = {"name": "digits", "training": {"epochs": 3, "seed": 1}, "classes": ["a"]}
    after = {"name": "digits", "training": {"epochs": 9, "seed": 1}, "classes": ["a", "b"]}
    see(ledger, "digits", "configuration", json.dumps(before), ago(days=9))
    see(ledger, "digits", "configuration", json.dumps(after), ago(hours=2))
    see(ledger, "shapes", "configuration", json.dumps(before), ago(hours=1))
    assert read(ledger) == ['configuration, 2 h before: training.epochs 3 → 9, classes ["a"] → ["a", "b"]']


def test_changed_code_concerns_every_project(ledger):
    see(ledger, "", "code", "abc", ago(hours=5))
    assert read(ledger) == []  # the first sighting is no change
    see(ledger, "", "code", "def", ago(hours=4))
    assert read(ledger, project="digits") == read(ledger, project="shapes") == ["code, 4 h before: def instead of abc"]


def test_only_a_difference_is_a_sighting_also_of_many_at_once(ledger):
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: record_sighting(ledger, "", "code", "abc"), range(8)))
    assert sorted(seen) == [False] * 7 + [True]


def test_an_incident_tells_what_changed_before_it(ledger, publish):
    publish(release_plans, datetime.now(UTC) - timedelta(minutes=90))
    publish(dataset_versions, datetime.now(UTC) - timedelta(minutes=5))
    told = {"kind": "slo_burn", "key": "slo/latency", "title": "slow", "impact": "high", "urgency": "high"}
    found = find_incident(ledger, open_incident(ledger, "digits", runbook="r", **told))
    assert [(event.kind, event.what) for event in found.timeline] == [
        ("change", "suspect 1: release, 90 min before: plan 3: rollout 4 begins"),
        ("change", "suspect 2: data, 5 min before: dataset version 1 was published"),
        ("opened", "slow"),
    ]


def test_for_a_machine_every_project_is_a_suspect(ledger, publish):
    publish(release_plans, ago(minutes=9))
    publish(release_plans, ago(minutes=8), project="shapes", revision=5)
    see(ledger, "shapes", "configuration", "1", ago(hours=3))
    see(ledger, "shapes", "configuration", "2", ago(hours=2))
    assert [line.split(",")[0] for line in read(ledger, "dead_service", PLATFORM)] == [
        "release",
        "release",
        "configuration",
    ]
