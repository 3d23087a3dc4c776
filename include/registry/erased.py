"""Explain what certified evidence lost to erasures that are on record, and nothing else."""

from collections.abc import Sequence

from include.contracts import DatasetRef, ErasureReport
from include.errors import NotCertifiedError
from include.ledger import Ledger
from include.ledger.datasets import find_latest_dataset
from include.ledger.erasures import list_erasures
from include.ledger.lineage import list_members
from include.storage import Store
from include.vision.images import read_rows


def account_for_images(dataset: DatasetRef, store: Store, ledger: Ledger) -> str:
    """Say which erasures a dataset version is gone by.

    They account for it if one of them removed the version, and each of its images is either among those erased or
    still in the newest version, unless a later publication replaced it there.

    :raises NotCertifiedError: images are missing that no erasure took, or the version is gone for another reason.
    :raises ArtifactNotFoundError: the newest version is damaged.
    """
    receipts = [receipt for receipt, _ in list_erasures(ledger, dataset.project)]
    if not any(dataset.version in receipt.versions for receipt in receipts):
        raise NotCertifiedError(f"no erasure on record removed version {dataset.version}")
    members = list_members(ledger, dataset.project, dataset.version)
    if len(members) != dataset.images:
        raise NotCertifiedError(
            f"the ledger knows {len(members)} images of version {dataset.version}, certified are {dataset.images}"
        )
    newest = find_latest_dataset(ledger, dataset.project)
    rows = read_rows(newest, store, ["digest", "partition"]).to_pylist() if newest else []
    there = {(row["digest"], row["partition"]) for row in rows}
    erased = {image for receipt in receipts for image in receipt.images}
    gone = [one for one in members if one.digest in erased]
    lost = [one.digest for one in members if one.digest not in erased and one.until is None
            and (one.digest, one.partition) not in there]  # fmt: skip
    if lost or not gone:
        raise NotCertifiedError(f"no erasure on record took {', '.join(sorted(lost)[:3]) or 'anything from it'}")
    return (
        f"erased since: {len(gone)} of {dataset.images} images of version {dataset.version}, "
        f"{_name(receipts, {one.digest for one in gone})}; the others are accounted for"
    )


def account_for_answers(address: str, project: str, ledger: Ledger) -> str:
    """Say which erasures removed answers.

    :raises NotCertifiedError: none on record did.
    """
    receipts = [receipt for receipt, _ in list_erasures(ledger, project) if address in receipt.files]
    if not receipts:
        raise NotCertifiedError(f"{address} is gone, and no erasure on record removed it")
    return f"erased since: {address}, {_name(receipts, {image for one in receipts for image in one.images})}"


def _name(receipts: Sequence[ErasureReport], images: set[str]) -> str:
    asked = sorted({f"{one.requested_by} ({one.reason})" for one in receipts if images.intersection(one.images)})
    return f"asked by {', '.join(asked)}"
