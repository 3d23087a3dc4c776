"""The dataset's files: write them anew in other fragments, and remove those that only old versions need."""

from collections.abc import Collection
from datetime import timedelta

import lance
from lance.optimize import Compaction, CompactionOptions

from include.ledger import Ledger
from include.ledger.leases import Lease

NEVER = timedelta(days=36_500)


def rewrite_fragments(dataset: lance.LanceDataset, options: CompactionOptions, lease: Lease, ledger: Ledger) -> bool:
    """Commit the same rows in the fragments that `options` ask for; tell whether there was anything to rewrite.

    :raises StaleAttemptError: a newer attempt has taken the lease over; nothing was committed.
    """
    rewrites = [task.execute(dataset) for task in Compaction.plan(dataset, options).tasks]
    if not rewrites:
        return False
    with ledger.begin() as connection:
        lease.guard(connection)
        Compaction.commit(dataset, rewrites)
    return True


def remove_versions(dataset: lance.LanceDataset, numbers: Collection[int], lease: Lease, ledger: Ledger) -> None:
    """Remove versions with their tags, and every file of no version; without numbers, these files only.

    :raises StaleAttemptError: a newer attempt has taken the lease over; nothing was removed.
    """
    with ledger.begin() as connection:
        # Whoever is overtaken cannot commit any more, so that files of no version are nobody's.
        lease.guard(connection)
        for tag, tagged in dataset.tags.list().items():
            if tagged["version"] in numbers:
                dataset.tags.delete(tag)
        if numbers:
            dataset.cleanup_old_versions(versions=list(numbers), delete_unverified=True)
        else:
            dataset.cleanup_old_versions(older_than=NEVER, delete_unverified=True)
