import pytest
import sqlalchemy as sa

from include.contracts import DatasetRef, ModelRef, ValidationReport
from include.data.catalogue import RECENT, locate_datasheet, read_catalogue
from include.ledger.datasets import record_read
from include.ledger.models import record_candidate
from include.ledger.quality import record_release, record_validation
from include.ledger.tables import dataset_versions
from include.storage import digest_bytes


def make_dataset(version):
    digest = digest_bytes(str(version).encode())
    return DatasetRef(
        project="digits", address="digits/images.lance", version=version, digest=digest, images=9 * version, labelled=9
    )


def make_report(day, **values):
    digest = digest_bytes(day.encode())
    counts = {"seen": 9, "accepted": 9, "duplicates": 0, "quarantined": 0}
    known = {"address": "a", "digest": digest, "success": True, "data_docs": "docs"}
    return ValidationReport.model_validate({"project": "digits", "partition": day} | counts | known | values)


@pytest.fixture
def publish(ledger):
    def make(version):
        dataset = make_dataset(version)
        row = {"project": "digits", "version": version, "digest": dataset.digest}
        with ledger.begin() as connection:
            connection.execute(sa.insert(dataset_versions).values(row | {"dataset": dataset.model_dump(mode="json")}))
        return dataset

    return make


def test_a_project_that_published_nothing_is_listed_all_the_same(project, ledger):
    [entry] = read_catalogue([project], ledger)
    assert (entry.project, entry.latest, entry.published_at, entry.datasheet) == (project, None, None, None)
    assert (entry.versions, entry.quality, entry.consumers, entry.reads) == (0, (), (), {})


def test_an_entry_has_the_newest_version_its_quality_and_its_consumers(project, ledger, publish):
    first, newest = publish(1), publish(2)
    for number in range(1, RECENT + 3):
        record_validation(ledger, make_report(f"2026-11-{number:02d}"), passed=True)
    failed = make_report("2026-11-20", success=False)
    record_validation(ledger, failed, passed=False)
    record_release(ledger, "digits", failed.partition, failed.address, "approver", "seen by eye")
    key = digest_bytes(b"model")
    record_candidate(ledger, ModelRef(project="digits", key=key, run_id="run", weights=key, dataset=first))
    for reader in ("run-1", "run-2"):
        record_read(ledger, first, "train", reader)
    [entry] = read_catalogue([project], ledger)
    assert entry.latest == newest
    assert entry.datasheet == locate_datasheet(newest)
    assert entry.versions == 2
    assert [report.partition for report in entry.quality][-1] == "2026-11-20"
    assert len(entry.quality) == RECENT
    assert (entry.failed, entry.released) == ({"2026-11-20"}, {failed.address})
    assert [(one.key, one.dataset_version, one.certified) for one in entry.consumers] == [(key, 1, None)]
    assert entry.reads == {"train": 2}


def test_projects_do_not_see_each_other(project, ledger, publish):
    publish(1)
    other = project.model_copy(update={"name": "plankton"})
    assert [entry.versions for entry in read_catalogue([other, project], ledger)] == [0, 1]
