import threading
from concurrent.futures import ThreadPoolExecutor

import lance
import pytest

from include.data import publication
from include.data.publication import publish_partition
from include.errors import ArtifactNotFoundError, DataQualityError, LeaseHeldError, StaleAttemptError
from include.ledger.datasets import find_latest_dataset, list_partitions
from include.ledger.leases import hold_lease

LEASE = "digits/images.lance"


def rows(store, dataset):
    table = lance.dataset(str(store.path(dataset.address)), version=dataset.version).to_table()
    return {(row["partition"], row["source"].rsplit("/", 1)[1]): row for row in table.to_pylist()}


def versions(store):
    return len(lance.dataset(str(store.path(LEASE))).versions())


@pytest.fixture
def publish(project, store, ledger):
    def publish(day, holder="run-1"):
        return publish_partition(project, day.close().validate(project, store), store, ledger, holder)

    return publish


def test_publishes_what_was_validated(publish, make_day, store, ledger):
    dataset = publish(make_day(images=12))
    assert (dataset.address, dataset.images, dataset.labelled) == (LEASE, 12, 12)
    assert len(rows(store, dataset)) == 12
    assert find_latest_dataset(ledger, "digits") == dataset
    assert list_partitions(ledger, "digits")["2026-11-02"].accepted == 12


def test_publishing_again_makes_no_version(publish, make_day, store):
    first = publish(make_day(images=12))
    before = versions(store)
    assert publish(make_day(images=12), "run-2") == first
    assert versions(store) == before


def test_partitions_add_up(publish, make_day, store):
    publish(make_day("2026-11-02", 0, 12))
    both = publish(make_day("2026-11-03", 10, 12))
    assert both.images == 24
    assert {partition for partition, _ in rows(store, both)} == {"2026-11-02", "2026-11-03"}


def test_a_partition_run_again_becomes_what_its_source_is_now(publish, make_day, store):
    publish(make_day("2026-11-03", 20, 12))
    before = publish(make_day(images=12))
    day = make_day(images=12)
    for listing in (day.manifest, day.labels):
        del listing[0]
    (day.folder / "images" / "shot-0000.png").unlink()
    day.labels[0] = ("shot-0001.png", "7", "2026-11-05T00:00:00Z")
    day.labels.pop()
    after = publish(day)
    assert after.version == before.version + 1
    assert (after.images, after.labelled) == (23, 22)
    now = rows(store, after)
    assert ("2026-11-02", "shot-0000.png") not in now
    assert now["2026-11-02", "shot-0001.png"]["label"] == "7"
    assert now["2026-11-02", "shot-0011.png"]["label"] is None
    assert len(rows(store, before)) == 24


def test_the_order_of_partitions_does_not_change_the_digest(publish, make_day, store, ledger):
    forward = [publish(make_day("2026-11-02", 0, 12)), publish(make_day("2026-11-03", 12, 12))][-1]
    store.path(LEASE).rename(store.root / "digits" / "old")
    backward = [publish(make_day("2026-11-03", 12, 12)), publish(make_day("2026-11-02", 0, 12))][-1]
    assert forward.digest == backward.digest


def test_what_failed_its_gate_is_not_published(publish, make_day, store, ledger):
    with pytest.raises(DataQualityError):
        publish(make_day(images=3).add("text.png", b"text"))
    assert not store.exists(LEASE)
    assert find_latest_dataset(ledger, "digits") is None


def test_pruned_staging_says_what_to_do(project, store, ledger, make_day):
    report = make_day(images=12).close().validate(project, store)
    store.path(report.address).rename(store.root / "pruned")
    with pytest.raises(ArtifactNotFoundError, match="ingest and validate the partition again"):
        publish_partition(project, report, store, ledger, "run-1")


def test_partitions_published_at_once_all_arrive(project, store, ledger, make_day):
    days = [make_day(f"2026-11-0{number}", 12 * number, 12).close() for number in range(1, 6)]
    reports = [day.validate(project, store) for day in days]
    with ThreadPoolExecutor(5) as pool:
        published = list(
            pool.map(lambda report: publish_partition(project, report, store, ledger, report.partition), reports)
        )
    latest = find_latest_dataset(ledger, "digits")
    assert latest == max(published, key=lambda dataset: dataset.version)
    assert latest.images == 60
    assert set(list_partitions(ledger, "digits")) == {report.partition for report in reports}


def test_waits_for_others_but_not_for_ever(project, store, ledger, make_day, monkeypatch):
    monkeypatch.setattr(publication, "WAIT_SECONDS", 0.1)
    report = make_day(images=12).close().validate(project, store)
    with hold_lease(ledger, LEASE, "somebody"), pytest.raises(LeaseHeldError, match="somebody"):
        publish_partition(project, report, store, ledger, "run-1")
    assert publish_partition(project, report, store, ledger, "run-1").images == 12


def test_an_overtaken_attempt_commits_nothing(project, store, ledger, make_day, monkeypatch):
    report = make_day(images=12).close().validate(project, store)
    merge, overtaken = publication._merge, threading.Event()

    def merge_after_a_second_attempt_has_begun(*arguments):
        if not overtaken.is_set():
            overtaken.set()
            second.append(publish_partition(project, report, store, ledger, "run-1"))
        return merge(*arguments)

    second = []
    monkeypatch.setattr(publication, "_merge", merge_after_a_second_attempt_has_begun)
    with pytest.raises(StaleAttemptError):
        publish_partition(project, report, store, ledger, "run-1")
    assert find_latest_dataset(ledger, "digits") == second[0]
    assert lance.dataset(str(store.path(LEASE))).version == second[0].version
