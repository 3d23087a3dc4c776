from datetime import timedelta

import lance
import pytest
import sqlalchemy as sa

from include.contracts import ModelRef
from include.data import fragments, maintenance
from include.data.maintenance import clean_staging, clean_versions, compact_dataset
from include.data.publication import publish_partition
from include.errors import ArtifactNotFoundError, StaleAttemptError
from include.ledger.datasets import find_latest_dataset, list_partitions, list_versions
from include.ledger.leases import hold_lease
from include.ledger.models import record_candidate
from include.ledger.quality import record_validation
from include.ledger.tables import validations
from include.storage import digest_bytes
from tests.include.data.staged_days import make_rows, stage

LEASE = "digits/images.lance"
DAYS = [f"2026-11-{day:02d}" for day in range(1, 6)]


def open_version(store, version=None):
    return lance.dataset(store.uri(LEASE), version=version)


def list_numbers(store):
    return [one["version"] for one in open_version(store).versions()]


def read(store, version=None):
    return open_version(store, version).to_table().sort_by([("partition", "ascending"), ("digest", "ascending")])


@pytest.fixture
def publish(project, any_store, ledger):
    def publish(rows):
        return publish_partition(project, stage(project, rows, any_store), any_store, ledger, "run-1")

    return publish


@pytest.fixture
def grown_old(monkeypatch):
    """Let every version be older than the project keeps them."""
    monkeypatch.setattr(maintenance, "_find_old", lambda dataset, days: [one["version"] for one in dataset.versions()])


def test_compaction_joins_fragments_and_changes_no_content(publish, project, any_store, ledger):
    before = [publish(make_rows(day, 4, first=9 * number)) for number, day in enumerate(DAYS)][-1]
    content = read(any_store)
    after = compact_dataset(project, any_store, ledger, "weekly")
    assert (after.digest, after.images) == (before.digest, before.images)
    assert after.version > before.version
    assert len(open_version(any_store).get_fragments()) == 1
    assert read(any_store) == read(any_store, before.version) == content
    assert find_latest_dataset(ledger, "digits") == after
    assert set(list_partitions(ledger, "digits")) == set(DAYS)
    assert open_version(any_store).tags.list()[after.digest.replace(":", "-")]["version"] == after.version


def test_compaction_with_nothing_to_join_makes_no_version(publish, project, any_store, ledger):
    dataset = publish(make_rows(DAYS[0], 4))
    assert compact_dataset(project, any_store, ledger, "weekly") is None
    assert find_latest_dataset(ledger, "digits") == dataset


def test_a_partition_of_a_compacted_dataset_is_replaced(publish, project, any_store, ledger):
    for number, day in enumerate(DAYS):
        publish(make_rows(day, 4, first=9 * number))
    compacted = compact_dataset(project, any_store, ledger, "weekly")
    assert publish(make_rows(DAYS[0], 4)) == compacted
    after = publish(make_rows(DAYS[0], 1))
    assert (after.version, after.images) == (compacted.version + 1, 17)


def test_an_overtaken_compaction_commits_nothing(publish, project, any_store, ledger, monkeypatch):
    for number, day in enumerate(DAYS):
        publish(make_rows(day, 4, first=9 * number))
    before, plan = read(any_store), fragments.Compaction.plan

    def plan_and_be_overtaken(*arguments):
        with hold_lease(ledger, LEASE, "weekly"):
            return plan(*arguments)

    monkeypatch.setattr(fragments.Compaction, "plan", plan_and_be_overtaken)
    with pytest.raises(StaleAttemptError):
        compact_dataset(project, any_store, ledger, "weekly")
    assert len(open_version(any_store).get_fragments()) == 5
    assert read(any_store) == before


def test_nothing_is_compacted_or_cleaned_before_the_first_publication(project, any_store, ledger):
    for maintain in (compact_dataset, clean_versions):
        with pytest.raises(ArtifactNotFoundError, match="publish a partition first"):
            maintain(project, any_store, ledger, "weekly")


def test_versions_of_the_last_days_stay(publish, project, any_store, ledger):
    for number, day in enumerate(DAYS):
        publish(make_rows(day, 4, first=9 * number))
    before = list_numbers(any_store)
    assert clean_versions(project, any_store, ledger, "weekly") == ()
    assert list_numbers(any_store) == before


def test_old_versions_go_but_for_the_newest_and_what_a_model_uses(publish, project, any_store, ledger, grown_old):
    versions = [publish(make_rows(day, 4, first=9 * number)) for number, day in enumerate(DAYS)]
    content = {one.version: read(any_store, one.version) for one in versions}
    used, newest = versions[2], versions[-1]
    key = digest_bytes(b"model")
    record_candidate(ledger, ModelRef(project="digits", key=key, run_id="run", weights=key, dataset=used))

    removed = clean_versions(project, any_store, ledger, "weekly")

    assert removed == tuple(number for number in range(1, newest.version) if number != used.version)
    assert list_numbers(any_store) == [used.version, newest.version]
    tagged = {tag["version"] for tag in open_version(any_store).tags.list().values()}
    assert tagged == {used.version, newest.version}
    for one in (used, newest):
        assert read(any_store, one.version) == content[one.version]
    assert [dataset for dataset, _ in list_versions(ledger, "digits")] == versions[::-1]
    assert clean_versions(project, any_store, ledger, "weekly") == ()


def test_cleaning_takes_the_bytes_of_rows_and_of_killed_attempts(publish, project, store, any_store, ledger, grown_old):
    publish(make_rows(DAYS[0], 4))
    publish(make_rows(DAYS[0], 2, first=50))
    lance.fragment.write_fragments(make_rows(DAYS[1], 3), any_store.uri(LEASE), mode="append")
    before = len(any_store.list(f"{LEASE}/data"))
    clean_versions(project, any_store, ledger, "weekly")
    assert (before, len(any_store.list(f"{LEASE}/data"))) == (3, 1)
    assert read(any_store) == make_rows(DAYS[0], 2, first=50).sort_by("digest")


def test_a_version_is_old_after_the_days_of_the_project(publish, any_store, monkeypatch):
    publish(make_rows(DAYS[0], 4))
    dataset = open_version(any_store)
    assert maintenance._find_old(dataset, 1) == []

    class Ahead(maintenance.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + timedelta(days=1, seconds=1)

    monkeypatch.setattr(maintenance, "datetime", Ahead)
    assert maintenance._find_old(dataset, 1) == list_numbers(any_store)


def test_what_was_staged_for_days_settled_long_ago_goes_and_their_rows_stay(project, publish, any_store, ledger):
    for day in DAYS[:2]:
        publish(make_rows(day, 3))
        any_store.write(f"digits/staging/{day}/shard-0/bytes.parquet", b"images")
        record_validation(ledger, list_partitions(ledger, "digits")[day], passed=True)
    any_store.write(f"digits/collected/{DAYS[0]}/0123/images/1.png", b"image")
    assert clean_staging(project, any_store, ledger) == ()
    with ledger.begin() as connection:
        old = sa.func.now() - timedelta(days=project.data.keep_versions_days)
        connection.execute(sa.update(validations).where(validations.c.partition == DAYS[0]).values(recorded_at=old))
    gone = (f"digits/collected/{DAYS[0]}", f"digits/staging/{DAYS[0]}")
    assert clean_staging(project, any_store, ledger) == gone
    assert not any(any_store.list(address) for address in gone)
    assert any_store.list(f"digits/staging/{DAYS[1]}")
    assert open_version(any_store).count_rows() == 6
    assert clean_staging(project, any_store, ledger) == ()
