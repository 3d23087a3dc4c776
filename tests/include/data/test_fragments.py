import lance
import pytest
from lance.fragment import write_fragments

from include.data.dataset import choose_compaction, hold_dataset, locate_dataset, open_dataset
from include.data.fragments import remove_versions, rewrite_fragments
from include.errors import StaleAttemptError
from tests.include.data.staged_days import make_rows


@pytest.fixture
def dataset(project, any_store):
    """Three versions of a fragment each, and a file of no version."""
    uri = any_store.uri(locate_dataset(project))
    for number in range(3):
        written = lance.write_dataset(make_rows("2026-11-01", 2, first=2 * number), uri, mode="append")
        written.tags.create(f"tag-{number}", written.version)
    write_fragments(make_rows("2026-11-02", 2), uri, mode="append")
    return open_dataset(project, any_store)


@pytest.fixture
def list_files(project, any_store):
    return lambda: any_store.list(f"{locate_dataset(project)}/data")


def list_numbers(dataset):
    return [one["version"] for one in dataset.versions()]


def test_versions_go_with_their_tags_and_files_of_no_version_with_them(dataset, project, ledger, list_files):
    assert len(list_files()) == 4
    with hold_dataset(project, ledger, "test") as lease:
        remove_versions(dataset, (1, 2), lease, ledger)
    assert list_numbers(dataset) == [3]
    assert list(dataset.tags.list()) == ["tag-2"]
    assert len(list_files()) == 3
    assert dataset.count_rows() == 6


def test_without_numbers_every_version_stays(dataset, project, ledger, list_files):
    with hold_dataset(project, ledger, "test") as lease:
        remove_versions(dataset, (), lease, ledger)
    assert list_numbers(dataset) == [1, 2, 3]
    assert len(dataset.tags.list()) == len(list_files()) == 3


def test_rows_are_rewritten_once(dataset, project, any_store, ledger):
    options = choose_compaction(project)
    with hold_dataset(project, ledger, "test") as lease:
        assert rewrite_fragments(dataset, options, lease, ledger)
        joined = open_dataset(project, any_store)
        assert not rewrite_fragments(joined, options, lease, ledger)
    assert len(joined.get_fragments()) == 1
    assert joined.to_table() == dataset.to_table()


def test_whoever_is_overtaken_changes_nothing(dataset, project, any_store, ledger, list_files):
    before = list_files()
    with hold_dataset(project, ledger, "weekly") as lease, hold_dataset(project, ledger, "weekly"):
        with pytest.raises(StaleAttemptError):
            remove_versions(dataset, (1, 2), lease, ledger)
        assert (list_files(), len(dataset.tags.list())) == (before, 3)
        with pytest.raises(StaleAttemptError):
            rewrite_fragments(dataset, choose_compaction(project), lease, ledger)
    assert list_numbers(open_dataset(project, any_store)) == [1, 2, 3]
