import lance
import pytest
import sqlalchemy as sa

from include.data import dataset as writing
from include.data import publication
from include.data.dataset import create_dataset, hold_dataset, locate_dataset, open_dataset, record_version
from include.data.publication import publish_partition
from include.errors import ArtifactNotFoundError, LeaseHeldError, StaleAttemptError
from include.ledger.datasets import find_latest_dataset
from include.ledger.leases import hold_lease
from include.ledger.tables import memberships
from include.vision.schema import IMAGES
from tests.include.data.staged_days import make_rows, stage

DAY, NEXT = "2026-11-02", "2026-11-03"


def read_memberships(ledger):
    table = memberships.c
    with ledger.begin() as connection:
        return connection.execute(
            sa.select(table.partition, table.digest, table.since_version, table.until_version)
        ).all()


@pytest.fixture
def publish(project, any_store, ledger):
    def publish(rows):
        return publish_partition(project, stage(project, rows, any_store), any_store, ledger, "run-1")

    return publish


def test_a_dataset_begins_empty(project, any_store):
    with pytest.raises(ArtifactNotFoundError, match="publish a partition first"):
        open_dataset(project, any_store)
    dataset = create_dataset(project, any_store)
    assert (dataset.count_rows(), dataset.schema) == (0, IMAGES)
    assert create_dataset(project, any_store).version == open_dataset(project, any_store).version == dataset.version


def test_waits_for_others_but_not_for_ever(project, ledger, monkeypatch):
    monkeypatch.setattr(writing, "WAIT_SECONDS", 0.1)
    with (
        hold_lease(ledger, locate_dataset(project), "somebody"),
        pytest.raises(LeaseHeldError, match="somebody"),
        hold_dataset(project, ledger, "run-1"),
    ):
        pytest.fail("two hold the dataset")
    with hold_dataset(project, ledger, "run-1") as lease:
        assert lease.name == "digits/images.lance"


def test_recording_a_version_twice_changes_nothing(project, publish, any_store, ledger):
    dataset = publish(make_rows(DAY, 3))
    before = read_memberships(ledger)
    with hold_dataset(project, ledger, "again") as lease:
        assert record_version(project, open_dataset(project, any_store), any_store, ledger, lease) == dataset
    assert read_memberships(ledger) == before


def test_a_stale_attempt_records_nothing(project, publish, any_store, ledger):
    dataset = publish(make_rows(DAY, 3))
    lance.dataset(any_store.uri(dataset.address)).delete(f"partition = '{DAY}'")
    with (
        hold_dataset(project, ledger, "run-1") as orphan,
        hold_dataset(project, ledger, "run-1"),
        pytest.raises(StaleAttemptError),
    ):
        record_version(project, open_dataset(project, any_store), any_store, ledger, orphan)
    assert find_latest_dataset(ledger, "digits") == dataset
    assert [until for *_, until in read_memberships(ledger)] == [None] * 3


def test_a_version_whose_forerunner_is_gone_is_recorded_whole(project, publish, any_store, ledger):
    publish(make_rows(DAY, 3))
    before = publish(make_rows(NEXT, 2, first=20))
    dataset = lance.dataset(any_store.uri(before.address))
    dataset.delete(f"digest = '{make_rows(DAY, 1)['digest'][0].as_py()}'")
    for tag in dataset.tags.list():
        dataset.tags.delete(tag)
    dataset.cleanup_old_versions(versions=[before.version])
    with hold_dataset(project, ledger, "erasure") as lease:
        after = record_version(project, open_dataset(project, any_store), any_store, ledger, lease)
    assert (after.version, after.images) == (before.version + 1, 4)
    assert sorted((until or 0) for *_, until in read_memberships(ledger)) == [0, 0, 0, 0, after.version]


@pytest.mark.parametrize("other", [make_rows(NEXT, 2, first=20), make_rows(DAY, 3)], ids=["another day", "the same"])
def test_what_a_killed_attempt_did_not_record_the_next_one_does(
    project, publish, any_store, ledger, monkeypatch, other
):
    begun = publish(make_rows("2026-11-01", 2, first=30))

    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publication, "record_version", die)
        with pytest.raises(KeyboardInterrupt):
            publish(make_rows(DAY, 3))
    assert find_latest_dataset(ledger, "digits") == begun
    repaired = publish(other)
    held = {(day, digest) for day, digest, since, until in read_memberships(ledger) if until is None}
    rows = open_dataset(project, any_store).to_table(columns=["partition", "digest"])
    assert held == set(zip(rows["partition"].to_pylist(), rows["digest"].to_pylist(), strict=True))
    assert {since for day, _, since, _ in read_memberships(ledger) if day == DAY} == {repaired.version}
