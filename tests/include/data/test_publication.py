import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import lance
import pyarrow as pa
import pytest
import sqlalchemy as sa

from include.data import publication
from include.data.publication import publish_partition
from include.errors import (
    ArtifactNotFoundError,
    ContractViolationError,
    DataQualityError,
    StaleAttemptError,
)
from include.ledger.datasets import find_latest_dataset, list_partitions
from include.ledger.erasures import name_subject, refuse_forever
from include.ledger.tables import memberships
from include.vision.schema import IMAGES
from tests.include.data.staged_days import make_rows, relabel, stage

LEASE = "digits/images.lance"
DAY, NEXT = "2026-11-02", "2026-11-03"


def open_version(store, dataset=None):
    return lance.dataset(store.uri(LEASE), version=dataset.version if dataset else None)


def read(store, dataset=None):
    return open_version(store, dataset).to_table().sort_by([("partition", "ascending"), ("digest", "ascending")])


def count_versions(store):
    return len(open_version(store).versions())


def read_memberships(ledger):
    table = memberships.c
    with ledger.begin() as connection:
        return set(
            connection.execute(sa.select(table.partition, table.digest, table.since_version, table.until_version))
        )


@pytest.fixture
def publish(project, any_store, ledger):
    def publish(rows, holder="run-1"):
        return publish_partition(project, stage(project, rows, any_store), any_store, ledger, holder)

    return publish


def test_holds_exactly_what_was_validated(publish, any_store, ledger):
    rows = make_rows(DAY, 12)
    dataset = publish(rows)
    assert (dataset.address, dataset.images, dataset.labelled) == (LEASE, 12, 12)
    assert read(any_store, dataset) == rows.sort_by("digest")
    assert open_version(any_store).schema == IMAGES
    assert find_latest_dataset(ledger, "digits") == dataset
    assert list_partitions(ledger, "digits")[DAY].accepted == 12


def test_a_version_is_tagged_with_its_content(publish, any_store):
    first = publish(make_rows(DAY, 4))
    second = publish(make_rows(NEXT, 4))
    tags = open_version(any_store).tags.list()
    assert {name: tag["version"] for name, tag in tags.items()} == {
        first.digest.replace(":", "-"): first.version,
        second.digest.replace(":", "-"): second.version,
    }


def test_content_that_comes_back_moves_its_tag(publish, any_store):
    first = publish(make_rows(DAY, 4))
    publish(make_rows(DAY, 3))
    third = publish(make_rows(DAY, 4))
    assert (third.digest, third.version) == (first.digest, first.version + 2)
    assert open_version(any_store).tags.list()[first.digest.replace(":", "-")]["version"] == third.version


def test_publishing_again_makes_no_version(publish, any_store):
    first = publish(make_rows(DAY, 12))
    before = count_versions(any_store)
    assert publish(make_rows(DAY, 12), "run-2") == first
    assert count_versions(any_store) == before


def test_partitions_add_up_and_their_order_does_not_matter(publish, any_store):
    days = [make_rows("2026-11-02", 12), make_rows("2026-11-03", 12, first=6), make_rows("2026-11-04", 5, first=40)]
    forward = [publish(day) for day in days][-1]
    content = read(any_store)
    any_store.remove(LEASE)
    backward = [publish(day) for day in reversed(days)][-1]
    assert (forward.digest, forward.images) == (backward.digest, 29)
    assert read(any_store) == content


def test_only_rows_that_changed_are_written(publish, any_store):
    rows = make_rows(DAY, 12)
    publish(make_rows(NEXT, 3, first=20))
    before = publish(rows)
    after = publish(relabel(rows.slice(1), 0, "7"))
    assert (after.version, after.images) == (before.version + 1, 14)
    files = [fragment.num_deletions for fragment in open_version(any_store, after).get_fragments()]
    written = [fragment.physical_rows for fragment in open_version(any_store, after).get_fragments()]
    assert (sorted(written), sorted(files)) == ([1, 3, 12], [0, 0, 2])
    assert read(any_store, after).num_rows == 14
    assert read(any_store, before).num_rows == 15


def test_a_new_label_of_the_past_is_a_change(publish, any_store):
    rows = make_rows(DAY, 3)
    before = publish(rows)
    history = [{"label": "1", "known_at": datetime(2026, 11, 1, tzinfo=UTC)}, *rows["labels"][0].as_py()]
    labels = pa.array([history, *rows["labels"].to_pylist()[1:]], IMAGES.field("labels").type)
    after = publish(rows.set_column(IMAGES.get_field_index("labels"), "labels", labels))
    assert (after.version, after.digest) == (before.version + 1, before.digest)
    assert len(read(any_store).filter(pa.compute.equal(read(any_store)["digest"], rows["digest"][0]))["labels"][0]) == 2


def test_an_empty_partition_takes_its_rows_away(publish, any_store, ledger):
    publish(make_rows(NEXT, 2, first=20))
    publish(make_rows(DAY, 12))
    empty = publish(make_rows(DAY, 0))
    assert (empty.images, read(any_store).num_rows) == (2, 2)
    assert {until for day, *_, until in read_memberships(ledger) if day == DAY} == {empty.version}


def test_memberships_follow_the_rows(publish, ledger):
    rows = make_rows(DAY, 3)
    digests = rows["digest"].to_pylist()
    first = publish(rows)
    publish(make_rows(NEXT, 1, first=20))
    third = publish(rows.slice(1))
    last = publish(rows)
    assert {row for row in read_memberships(ledger) if row[0] == DAY} == {
        (DAY, digests[0], first.version, third.version),
        (DAY, digests[0], last.version, None),
        (DAY, digests[1], first.version, None),
        (DAY, digests[2], first.version, None),
    }


def test_what_failed_its_gate_is_not_published(project, any_store, ledger):
    report = stage(project, make_rows(DAY, 3), any_store).model_copy(update={"success": False})
    with pytest.raises(DataQualityError):
        publish_partition(project, report, any_store, ledger, "run-1")
    assert not any_store.exists(LEASE)
    assert find_latest_dataset(ledger, "digits") is None


@pytest.mark.parametrize("what", ["digest", "subject"])
def test_what_was_erased_after_validation_is_not_published(project, any_store, ledger, what):
    rows = make_rows(DAY, 3, subject="visitor 7")
    report = stage(project, rows, any_store)
    refuse_forever(ledger, "digits", [rows["digest"][1].as_py() if what == "digest" else name_subject("visitor 7")])
    with pytest.raises(DataQualityError, match="erasure"):
        publish_partition(project, report, any_store, ledger, "run-1")
    assert find_latest_dataset(ledger, "digits") is None


def test_staged_rows_other_than_the_validated_are_refused(project, any_store, ledger):
    report = stage(project, make_rows(DAY, 3), any_store)
    other = stage(project, make_rows(DAY, 4), any_store)
    mixed = report.model_copy(update={"address": other.address})
    with pytest.raises(ContractViolationError, match="not the validated"):
        publish_partition(project, mixed, any_store, ledger, "run-1")


def test_pruned_staging_says_what_to_do(project, any_store, ledger):
    report = stage(project, make_rows(DAY, 3), any_store)
    any_store.remove("digits/staging")
    with pytest.raises(ArtifactNotFoundError, match="again"):
        publish_partition(project, report, any_store, ledger, "run-1")


def test_partitions_published_at_once_all_arrive(project, any_store, ledger):
    reports = [stage(project, make_rows(f"2026-11-0{n}", 12, first=12 * n), any_store) for n in range(1, 6)]
    with ThreadPoolExecutor(5) as pool:
        published = list(
            pool.map(lambda report: publish_partition(project, report, any_store, ledger, report.partition), reports)
        )
    latest = find_latest_dataset(ledger, "digits")
    assert latest == max(published, key=lambda dataset: dataset.version)
    assert latest.images == 60
    assert set(list_partitions(ledger, "digits")) == {report.partition for report in reports}


def test_an_overtaken_attempt_commits_nothing(project, any_store, ledger, monkeypatch):
    report = stage(project, make_rows(DAY, 3), any_store)
    commit, overtaken, second = publication._commit, threading.Event(), []

    def commit_after_a_second_attempt(*arguments):
        if not overtaken.is_set():
            overtaken.set()
            second.append(publish_partition(project, report, any_store, ledger, "run-1"))
        return commit(*arguments)

    monkeypatch.setattr(publication, "_commit", commit_after_a_second_attempt)
    with pytest.raises(StaleAttemptError):
        publish_partition(project, report, any_store, ledger, "run-1")
    assert find_latest_dataset(ledger, "digits") == second[0]
    assert open_version(any_store).version == second[0].version
