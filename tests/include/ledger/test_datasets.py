import time
from collections.abc import Callable

import pyarrow as pa
import pytest
import sqlalchemy as sa

from include.contracts import DatasetRef, ModelRef, ReleaseRef, ValidationReport
from include.errors import StaleAttemptError
from include.ledger import Ledger
from include.ledger.datasets import (
    Members,
    find_latest_dataset,
    list_partitions,
    list_reads,
    list_used_versions,
    list_versions,
    record_publication,
    record_read,
)
from include.ledger.leases import hold_lease
from include.ledger.models import record_candidate, record_model_version
from include.ledger.releases import record_release
from include.ledger.tables import memberships, partitions
from include.storage import digest_bytes

MakeDataset = Callable[..., DatasetRef]
MakeValidation = Callable[..., ValidationReport]


def members(*names: str, partition: str = "2026-03-01", subject: str | None = None) -> Members:
    columns = {
        "digest": [digest_bytes(name.encode()) for name in names],
        "partition": [partition] * len(names),
        "source": [f"{partition}/{name}" for name in names],
        "subject": pa.array([subject] * len(names), pa.string()),
    }
    return Members(pa.table(columns), {partition})


def publish(
    ledger: Ledger, dataset: DatasetRef, validation: ValidationReport | None, held: Members | None = None
) -> None:
    with hold_lease(ledger, dataset.project, "test") as lease:
        record_publication(ledger, lease, dataset, held or members(), validation)


def read_memberships(ledger: Ledger, column: str = "source") -> set[tuple[str, int, int | None]]:
    table = memberships.c
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(table[column], table.since_version, table.until_version)).all()
    assert len(set(rows)) == len(rows)
    return {(str(value).rpartition("/")[2], since, until) for value, since, until in rows}


def test_nothing_is_published_at_first(ledger: Ledger):
    assert find_latest_dataset(ledger, "digits") is None
    assert list_partitions(ledger, "digits") == {}
    assert list_versions(ledger, "digits") == []
    assert list_reads(ledger, "digits") == []
    assert list_used_versions(ledger, "digits") == set()


def test_the_newest_version_and_the_latest_report_of_each_partition(
    ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation
):
    publish(ledger, make_dataset(1), make_validation("2026-03-01"))
    publish(ledger, make_dataset(2), make_validation("2026-03-02"))
    publish(ledger, make_dataset(10), make_validation("2026-03-01", accepted=12))
    publish(ledger, make_dataset(1, project="parts"), make_validation("2026-03-05", project="parts"))
    assert find_latest_dataset(ledger, "digits") == make_dataset(10)
    assert [dataset for dataset, _ in list_versions(ledger, "digits")] == [make_dataset(n) for n in (10, 2, 1)]
    assert list_partitions(ledger, "digits") == {
        "2026-03-01": make_validation("2026-03-01", accepted=12),
        "2026-03-02": make_validation("2026-03-02"),
    }


def test_a_version_made_by_maintenance_belongs_to_no_partition(
    ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation
):
    publish(ledger, make_dataset(1), make_validation())
    publish(ledger, make_dataset(2), None)
    assert find_latest_dataset(ledger, "digits") == make_dataset(2)
    assert list_partitions(ledger, "digits") == {"2026-03-01": make_validation()}


def test_recording_again_changes_nothing(ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation):
    for _ in range(2):
        publish(ledger, make_dataset(), make_validation(), members("a.png", "b.png"))
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(partitions)) == 1
    assert read_memberships(ledger) == {("a.png", 1, None), ("b.png", 1, None)}


def test_a_stale_attempt_records_nothing(ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation):
    with (
        hold_lease(ledger, "digits", "task") as orphan,
        hold_lease(ledger, "digits", "task"),
        pytest.raises(StaleAttemptError),
    ):
        record_publication(ledger, orphan, make_dataset(), members("a.png"), make_validation())
    assert find_latest_dataset(ledger, "digits") is None
    assert list_partitions(ledger, "digits") == {}
    assert read_memberships(ledger) == set()


def test_memberships_open_and_close_with_the_rows(ledger: Ledger, make_dataset: MakeDataset):
    other = "2026-03-02"
    publish(ledger, make_dataset(1), None, members("a.png", "b.png"))
    publish(ledger, make_dataset(2), None, members("a.png", "c.png", partition=other))
    publish(ledger, make_dataset(3), None, members("b.png"))
    publish(ledger, make_dataset(4), None, members("a.png", "b.png"))
    assert read_memberships(ledger) == {
        ("a.png", 1, 3), ("b.png", 1, None), ("a.png", 4, None), ("a.png", 2, None), ("c.png", 2, None),
    }  # fmt: skip
    publish(ledger, make_dataset(5), None, Members(members("b.png").rows))
    assert {source for source, _, until in read_memberships(ledger) if until is None} == {"b.png"}


def test_a_renamed_file_or_another_subject_is_the_same_membership(ledger: Ledger, make_dataset: MakeDataset):
    publish(ledger, make_dataset(1), None, members("a.png"))
    renamed = members("a.png", subject="visitor").rows.set_column(2, "source", pa.array(['2026-03-01/"new", name.png']))
    publish(ledger, make_dataset(2), None, Members(renamed, {"2026-03-01"}))
    assert read_memberships(ledger) == {('"new", name.png', 1, None)}
    assert read_memberships(ledger, "subject") == {("visitor", 1, None)}


def test_memberships_of_projects_are_apart(ledger: Ledger, make_dataset: MakeDataset):
    publish(ledger, make_dataset(1), None, members("a.png"))
    publish(ledger, make_dataset(7, project="parts"), None, Members(members("a.png").rows))
    publish(ledger, make_dataset(8, project="parts"), None, Members(members().rows))
    assert read_memberships(ledger) == {("a.png", 1, None), ("a.png", 7, 8)}


def test_a_version_number_of_a_restored_store_is_recorded_again(ledger: Ledger, make_dataset: MakeDataset):
    for version, held in ((1, members("a.png")), (2, members()), (1, members("a.png"))):
        publish(ledger, make_dataset(version), None, held)
    assert read_memberships(ledger) == {("a.png", 1, None)}


def test_a_hundred_thousand_images_take_seconds(ledger: Ledger, make_dataset: MakeDataset):
    held = members(*(f"{number}.png" for number in range(100_000)))
    started = time.monotonic()
    publish(ledger, make_dataset(), None, held)
    assert time.monotonic() - started < 20
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(memberships)) == 100_000


def test_a_read_is_recorded_once(ledger: Ledger, make_dataset: MakeDataset):
    for _ in range(2):
        record_read(ledger, make_dataset(3), "train", "run-1")
    record_read(ledger, make_dataset(3), "export", "run-1")
    record_read(ledger, make_dataset(4, project="parts"), "train", "run-1")
    reads = list_reads(ledger, "digits")
    assert [(read.version, read.purpose, read.reader) for read in reads] == [
        (3, "export", "run-1"),
        (3, "train", "run-1"),
    ]


def test_a_version_is_used_by_candidates_certified_and_released_models(
    ledger: Ledger,
    make_dataset: MakeDataset,
    make_model: Callable[..., ModelRef],
    make_release: Callable[..., ReleaseRef],
):
    def trained_on(version: int, model: ModelRef) -> ModelRef:
        return model.model_copy(update={"dataset": make_dataset(version)})

    record_candidate(ledger, trained_on(2, make_model("candidate")))
    record_candidate(ledger, make_model("elsewhere", project="parts"))
    release = make_release("released")
    certified = release.model.model_copy(update={"model": trained_on(4, release.model.model)})
    record_model_version(ledger, certified)
    moved = certified.model_copy(update={"model": trained_on(6, certified.model)})
    record_release(ledger, release.model_copy(update={"model": moved}))
    assert list_used_versions(ledger, "digits") == {2, 4, 6}
