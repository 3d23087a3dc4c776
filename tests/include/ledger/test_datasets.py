from collections.abc import Callable

import pytest
import sqlalchemy as sa

from include.contracts import DatasetRef, ValidationReport
from include.errors import StaleAttemptError
from include.ledger import Ledger
from include.ledger.datasets import find_latest_dataset, list_partitions, record_publication
from include.ledger.leases import hold_lease
from include.ledger.tables import partitions

MakeDataset = Callable[..., DatasetRef]
MakeValidation = Callable[..., ValidationReport]


def publish(ledger: Ledger, dataset: DatasetRef, validation: ValidationReport) -> None:
    with hold_lease(ledger, dataset.project, "test") as lease:
        record_publication(ledger, lease, dataset, validation)


def test_nothing_is_published_at_first(ledger: Ledger):
    assert find_latest_dataset(ledger, "digits") is None
    assert list_partitions(ledger, "digits") == {}


def test_the_newest_version_and_the_latest_report_of_each_partition(
    ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation
):
    publish(ledger, make_dataset(1), make_validation("2026-03-01"))
    publish(ledger, make_dataset(2), make_validation("2026-03-02"))
    publish(ledger, make_dataset(10), make_validation("2026-03-01", accepted=12))
    publish(ledger, make_dataset(1, project="parts"), make_validation("2026-03-05", project="parts"))
    assert find_latest_dataset(ledger, "digits") == make_dataset(10)
    assert list_partitions(ledger, "digits") == {
        "2026-03-01": make_validation("2026-03-01", accepted=12),
        "2026-03-02": make_validation("2026-03-02"),
    }


def test_recording_again_changes_nothing(ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation):
    for _ in range(2):
        publish(ledger, make_dataset(), make_validation())
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(partitions)) == 1


def test_a_stale_attempt_records_nothing(ledger: Ledger, make_dataset: MakeDataset, make_validation: MakeValidation):
    with (
        hold_lease(ledger, "digits", "task") as orphan,
        hold_lease(ledger, "digits", "task"),
        pytest.raises(StaleAttemptError),
    ):
        record_publication(ledger, orphan, make_dataset(), make_validation())
    assert find_latest_dataset(ledger, "digits") is None
    assert list_partitions(ledger, "digits") == {}
