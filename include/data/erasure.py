"""Forget images for good: the rows, every old version and every derived file that holds them; keep a receipt."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import lance

from include.contracts import ErasureReport, ErasureRequest
from include.data.dataset import choose_compaction, hold_dataset, open_dataset, record_version
from include.data.fragments import remove_versions, rewrite_fragments
from include.data.remnants import find_golden, remove_remnants
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.audit import seal_chain
from include.ledger.erasures import find_images_of, find_receipt, name_subject, record_erasure, refuse_forever
from include.ledger.leases import Lease
from include.ledger.lineage import find_descendants, find_memberships, list_version_numbers
from include.ledger.models import find_candidate, find_model_version
from include.project import Project
from include.storage import Store
from include.tracking import ERASED_TAG, Tracking

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Dataset:
    """The dataset to erase from, and what of it."""

    project: Project
    store: Store
    ledger: Ledger
    images: tuple[str, ...]

    @property
    def condition(self) -> str:
        """The rows to erase, as a filter of Lance; digests need no quoting."""
        names = ", ".join(f"'{image}'" for image in self.images)
        return f"digest IN ({names})"


def forget_images(
    project: Project, request: ErasureRequest, store: Store, ledger: Ledger, tracking: Tracking, holder: str
) -> ErasureReport:
    """Erase images and refuse them from now on.

    Killed at any point, it is completed by running it again; what was erased before is answered with its receipt.
    Models that learned from the images are marked, not removed.

    :param holder: Name of the attempt, equal for retries of one task.
    :raises ContractViolationError: nothing was named.
    :raises LeaseHeldError: partitions were being published for a whole minute.
    """
    if not (request.digests or request.subject):
        raise ContractViolationError("name the images to forget, by digest or by subject; nothing was erased")
    subject = [name_subject(request.subject)] if request.subject else []
    # Before anything is erased: a run that ingests them meanwhile must not bring them back.
    refuse_forever(ledger, project.name, [*request.digests, *subject])
    with hold_dataset(project, ledger, holder) as lease:
        shown = find_images_of(ledger, project.name, request.subject) if request.subject else []
        # The same bytes may be delivered again without their subject.
        refuse_forever(ledger, project.name, shown)
        dataset = _Dataset(project, store, ledger, tuple(sorted({*request.digests, *shown})))
        receipt = _erase(dataset, request, lease)
    _mark_models(receipt, ledger, tracking)
    seal_chain(ledger, project.name, store)
    return receipt


def _erase(dataset: _Dataset, request: ErasureRequest, lease: Lease) -> ErasureReport:
    name, ledger, images = dataset.project.name, dataset.ledger, dataset.images
    memberships = [one for image in images for one in find_memberships(ledger, name, image=image)]
    descendants = [one for image in images for one in find_descendants(ledger, name, image)]
    golden = find_golden(dataset.project, dataset.store, images, {one.release for one in descendants if one.release})
    version, removed = _erase_rows(dataset, lease)
    # Reports outlive the versions they describe.
    held = {number for number in list_version_numbers(ledger, name) if any(one.covers(number) for one in memberships)}
    described = sorted(held.union(removed))
    files, pending = remove_remnants(dataset.project, dataset.store, ledger, images, request.subject, described, golden)
    subject = name_subject(request.subject) if request.subject else None
    earlier = find_receipt(ledger, name, images, subject)
    if earlier and not removed and not files and not pending:
        return earlier
    held_once = {one.digest for one in memberships}
    receipt = ErasureReport(
        project=name,
        summary=earlier.summary if earlier and not held_once else _summarise(images, held_once, removed, files),
        images=images,
        subject=subject,
        reason=request.reason,
        requested_by=request.requested_by,
        versions=removed,
        version=version,
        files=files,
        models=tuple(sorted({one.model_key for one in descendants})),
        sources=tuple(sorted({one.source for one in memberships})),
        pending=pending,
    )
    record_erasure(ledger, receipt)
    logger.info("%s", receipt.summary)
    return receipt


def _summarise(
    images: Collection[str], held: Collection[str], versions: Collection[int], files: Collection[str]
) -> str:
    unknown = [image for image in images if image not in held]
    if held:
        words = f"{len(held)} image(s) are gone, with {len(versions)} version(s) and {len(files)} file(s)"
        return f"{words}; never seen and only refused from now on: {', '.join(unknown)}" if unknown else words
    if any("/staging/" in file for file in files):
        return (
            "only staged rows named it: they are gone, no dataset version ever held it, and it is refused from now on"
        )
    return (
        "nothing was found and no image erased: no dataset version ever held what was named, mistyped perhaps; "
        "it is refused from now on"
    )


def _erase_rows(held: _Dataset, lease: Lease) -> tuple[int | None, tuple[int, ...]]:
    """Take the rows out of the newest version, and remove every version out of which their bytes could be read."""
    try:
        dataset = open_dataset(held.project, held.store)
    except ArtifactNotFoundError:
        return None, ()
    numbers = _list_versions(dataset) if held.images else []
    holding = [one for one in numbers if dataset.checkout_version(one).count_rows(held.condition)]
    if not holding:
        # A killed publication may have left files that no version refers to.
        remove_versions(dataset, (), lease, held.ledger)
        return None, ()
    with held.ledger.begin() as connection:
        lease.guard(connection)
        dataset.delete(held.condition)
    # Until the files are written anew, the bytes of deleted rows stay in them.
    options: Any = {**choose_compaction(held.project), "materialize_deletions_threshold": 0.0}
    rewrite_fragments(open_dataset(held.project, held.store), options, lease, held.ledger)
    dataset = open_dataset(held.project, held.store)
    record_version(held.project, dataset, held.store, held.ledger, lease)
    # Also a version in which the row was deleted already may refer to the file with its bytes.
    removed = tuple(one for one in _list_versions(dataset) if min(holding) <= one < dataset.version)
    remove_versions(dataset, removed, lease, held.ledger)
    return dataset.version, removed


def _list_versions(dataset: lance.LanceDataset) -> list[int]:
    return [int(one["version"]) for one in dataset.versions()]


def _mark_models(receipt: ErasureReport, ledger: Ledger, tracking: Tracking) -> None:
    """Mark in MLflow, too, what the ledger has marked: people look there."""
    for key in receipt.models:
        model, version = find_candidate(ledger, key), find_model_version(ledger, receipt.project, key=key)
        try:
            with tracking.connect() as client:
                if model:
                    client.set_tag(model.run_id, ERASED_TAG, receipt.reason)
                if version:
                    client.set_model_version_tag(receipt.project, str(version.version), ERASED_TAG, receipt.reason)
        except ArtifactNotFoundError:
            logger.info("MLflow holds nothing of model %s any more", key)
