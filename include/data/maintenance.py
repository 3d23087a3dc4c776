"""Keep the dataset small and quick: join small fragments, drop versions and staged rows that nobody needs any more."""

from datetime import datetime, timedelta
from typing import Any

import lance

from include.contracts import DatasetRef
from include.data.dataset import choose_compaction, hold_dataset, open_dataset, record_version
from include.data.fragments import remove_versions, rewrite_fragments
from include.ledger import Ledger
from include.ledger.datasets import find_latest_dataset, list_used_versions
from include.ledger.quality import list_settled_partitions
from include.project import Project
from include.storage import Store


def compact_dataset(project: Project, store: Store, ledger: Ledger, holder: str) -> DatasetRef | None:
    """Join the fragments that many publications left, in a version of the same content; none where all is well.

    :raises ArtifactNotFoundError: nothing was ever published.
    :raises LeaseHeldError: partitions were being published for a whole minute.
    """
    with hold_dataset(project, ledger, holder) as lease:
        if not rewrite_fragments(open_dataset(project, store), choose_compaction(project), lease, ledger):
            return None
        return record_version(project, open_dataset(project, store), store, ledger, lease)


def clean_versions(project: Project, store: Store, ledger: Ledger, holder: str) -> tuple[int, ...]:
    """Remove versions older than `data.keep_versions_days`, and what killed attempts left; return their numbers.

    The newest version stays, and every version that a candidate, a certified or a released model was made of.

    :raises ArtifactNotFoundError: nothing was ever published.
    :raises LeaseHeldError: partitions were being published for a whole minute.
    """
    with hold_dataset(project, ledger, holder) as lease:
        dataset = open_dataset(project, store)
        latest = find_latest_dataset(ledger, project.name)
        needed = list_used_versions(ledger, project.name) | {dataset.version} | ({latest.version} if latest else set())
        old = [number for number in _find_old(dataset, project.data.keep_versions_days) if number not in needed]
        remove_versions(dataset, old, lease, ledger)
    return tuple(old)


def clean_staging(project: Project, store: Store, ledger: Ledger) -> tuple[str, ...]:
    """Remove what ingestion staged and collected for partitions last validated over `data.keep_versions_days` ago.

    Their published rows stay; running the partition again stages it again. Returns the addresses that are gone.
    """
    settled = list_settled_partitions(ledger, project.name, project.data.keep_versions_days)
    places = (f"{project.name}/{kind}/{partition}" for partition in settled for kind in ("collected", "staging"))
    gone = [address for address in places if store.list(address)]
    for address in gone:
        store.remove(address)
    return tuple(gone)


def _find_old(dataset: lance.LanceDataset, days: int) -> list[int]:
    # Lance tells local times without a zone.
    limit = datetime.now() - timedelta(days=days)  # noqa: DTZ005
    versions: Any = dataset.versions()
    return [one["version"] for one in versions if one["timestamp"] < limit]
